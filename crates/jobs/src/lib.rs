//! Durable background work: a ledger in Postgres, JetStream as its transport.
//!
//! The ledger is the queue; a message is only a ticket that says "there is work of this kind".
//!
//! - [`job`], [`enqueue`], [`run`], [`error`]: what a job is, how it is ordered, what it can do
//!   while it runs, how it may end.
//! - [`worker`]: runs registered kinds: dispatcher, slots, heartbeat, reaper, scheduler, relay.
//! - [`verdict`], [`retry`], [`claim`], [`signature`]: the decisions, pure.
//! - [`schedule`]: times at which jobs are enqueued by the clock.
//! - [`outbox`]: facts that commit with a row and are published after.
//! - [`ledger`]: what people see and do: lists, counts, retry, cancel, dead letters.
//!
//! Invariants: nothing is accepted until Postgres has it; an effect commits only under the lease
//! that claimed the job; losing the whole NATS store loses no work and no fact.

pub mod claim;
pub mod config;
mod db;
pub mod enqueue;
pub mod error;
pub mod job;
pub mod ledger;
pub mod metrics;
pub mod outbox;
pub mod retention;
pub mod retry;
pub mod run;
pub mod schedule;
pub mod signature;
pub mod verdict;
pub mod worker;

pub use config::Config;
pub use enqueue::{Enqueued, NewJob, Template, enqueue, enqueue_many};
pub use error::Error;
pub use job::{Job, Limits, Outcome, RetryPolicy};
pub use run::Run;
pub use schedule::Schedule;
pub use worker::Worker;

use sqlx::{PgExecutor, PgPool, migrate::Migrator};

/// The schema that holds the ledger.
pub const SCHEMA: &str = "jobs";

/// The migrations of [`SCHEMA`].
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// Brings the ledger's schema up to date.
///
/// # Errors
/// When a migration fails or was edited after it ran.
pub async fn migrate(pool: &PgPool) -> Result<(), database::Error> {
    database::migrate(pool, SCHEMA, &MIGRATOR).await
}

/// Draws the number under which an observation of the outside world is written: it must be drawn
/// before the bytes are read, so that an older look never overwrites a newer one.
///
/// # Errors
/// When the database is away.
pub async fn observe(executor: impl PgExecutor<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT nextval('jobs.observed_seq')").fetch_one(executor).await
}
