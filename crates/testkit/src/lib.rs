//! Test support: private NATS, Postgres and Docker, faults, a site that serves fixtures.
//!
//! Everything here hands out URLs and depends on no crate of ours, so that any crate may use it.
//! It serves tests, so it panics with a sentence where a program would return an error.
//!
//! - [`Postgres`] and [`Nats`]: real servers, private to the test process, gone when it ends.
//! - [`Site`]: an HTTP server that serves what a test tells it to and records who asked.
//! - [`Docker`] and [`image`]: containers that go with the test, of images made without a registry.
//! - [`Engine`] and [`Proxy`]: a Docker daemon that may be hurt, and a way to one that misbehaves.
//! - [`eventually`]: waits for a condition with a deadline, in place of a sleep.
//! - [`corpora`], [`runtime`]: where the test data and the server programs lie.

mod account;
mod debian;
mod docker;
mod engine;
mod eventually;
mod files;
pub mod image;
mod nats;
mod port;
mod postgres;
mod proxy;
mod server;
mod site;

pub use account::Account;
pub use docker::Docker;
pub use engine::Engine;
pub use eventually::{eventually, eventually_eq};
pub use files::{corpora, corpus, runtime};
pub use nats::Nats;
pub use port::free_port;
pub use postgres::{Database, Postgres};
pub use proxy::{Fault, Proxy};
pub use site::{Auth, Body, Request, Response, Site};
