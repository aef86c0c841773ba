//! The command-line program.
//!
//! - [`cli`]: what can be said on the command line; all but `up` are clients of the REST API.
//! - [`servers`]: the private Postgres and NATS that `up` runs.

pub mod cli;
mod client;
mod doctor;
mod error;
mod folder;
mod output;
pub mod servers;
mod up;
