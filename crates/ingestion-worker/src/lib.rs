//! Sources, schedules, and the fetch and process stages: turns a source into documents.

pub mod charset;
pub mod feed;
