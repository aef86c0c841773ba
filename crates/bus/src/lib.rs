//! The only crate that knows NATS: typed subjects, declared streams, publish, consume.
//!
//! - [`subject`]: every subject there is, each fact tied to its payload type.
//! - [`stream`]: the two streams, made again whenever they are missing.
//! - [`ticket`]: "there is work of this kind", carried by the stream `JOBS`.
//! - [`event`]: facts, carried by the stream `EVENTS`.
//!
//! Invariant: nothing here is the only place that knows something. Postgres holds all work and all
//! facts, so a server whose store is gone is filled again.

pub mod connection;
pub mod error;
pub mod event;
pub mod metrics;
pub mod stream;
pub mod subject;
pub mod ticket;

pub use connection::{Bus, Config};
pub use error::Error;
pub use event::{Events, Received};
pub use subject::Fact;
pub use ticket::Tickets;
