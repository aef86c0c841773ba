//! The service in process, over gRPC, on a real Postgres and a real NATS.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod cranfield;
mod documents;
mod embed;
mod models;
mod plans;
mod search;
mod stand;
