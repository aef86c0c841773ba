//! The command-line program.
//!
//! - [`cli`]: what can be said on the command line; all but `up` are clients of the REST API.
//! - [`compose`]: Compose files, resolved into the spec of a stack.
//! - [`servers`]: the private Postgres and NATS that `up` runs.

pub mod cli;
mod client;
pub mod compose;
mod doctor;
mod error;
mod folder;
mod output;
pub mod servers;
mod up;
