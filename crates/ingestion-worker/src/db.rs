//! The tables of the schema `ingestion`, one module each.

pub mod blob;
pub mod host;
pub mod item;
pub mod run;
pub mod source;
pub mod validator;

/// What brings the schema up to date at start.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");
