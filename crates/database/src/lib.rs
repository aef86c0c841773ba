//! Postgres: pool, migration runner, what its errors mean, and who a token belongs to.
//!
//! - [`pool`]: [`connect`] waits for a database that is not up yet, for a bounded time.
//! - [`migration`]: [`migrate`] brings one service's schema up to date.
//! - [`error`]: which errors pass by themselves, and what a caller is told.
//! - [`token`]: [`TokenVerifier`] asks the one SQL function that crosses schemas.
//!
//! Invariant: nothing here knows a service's tables.

pub mod error;
pub mod migration;
pub mod pool;
pub mod token;

pub use error::{Error, failure, is_statement_timeout, is_transient};
pub use migration::migrate;
pub use pool::{Config, connect, dedicated};
pub use token::TokenVerifier;
