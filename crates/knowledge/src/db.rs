//! The schema `knowledge`: one file per table, and the queries of a search.

pub mod chunk;
pub mod document;
pub mod embedding;
pub mod embedding_model;
mod filter;
pub mod search;
pub mod source_rank;
pub mod statistics;
pub mod tombstone;

/// The schema's migrations.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// The schema's name.
pub const SCHEMA: &str = "knowledge";
