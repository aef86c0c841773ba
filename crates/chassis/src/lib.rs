//! What every process does that is not its job.
//!
//! - [`config`]: layered configuration with the origin of every value.
//! - [`process`]: start-up, listeners, supervised services, drain; [`Service`] is what a service
//!   hands over to be run.
//! - [`tasks`]: background work that is never lost sight of.
//! - [`readiness`] and [`admin`]: `/livez`, `/readyz`, `/metrics`.
//! - [`caller`] and [`auth`]: who calls, and what they may do.
//! - [`grpc`] and [`tls`]: defaults of servers and clients.
//! - [`seal`]: secrets at rest.
//!
//! Invariant: nothing here knows a table or a subject, and of the domain only the names of the
//! configuration's sections and who may call.

pub mod admin;
pub mod auth;
pub mod caller;
pub mod config;
pub mod grpc;
pub mod process;
pub mod readiness;
pub mod seal;
pub mod tasks;
pub mod tls;

pub use process::{Process, Service};
pub use tasks::Tasks;

/// Tells work to stop taking more and to finish.
pub type Shutdown = tokio_util::sync::CancellationToken;
