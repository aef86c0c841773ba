//! The worker's settings; all durations in milliseconds.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a worker behaves; the defaults serve production, tests make them shorter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A job whose worker is silent for this long is given to another.
    pub lease_ms: u64,
    /// How often a worker says that its jobs live; well below a third of the lease.
    pub heartbeat_ms: u64,
    /// How often due work is looked for when no notification says that there is some.
    pub poll_ms: u64,
    /// A job that nobody claimed gets another ticket after this.
    pub redispatch_ms: u64,
    /// How long running jobs may go on after shutdown was asked for; then they are handed back.
    pub drain_ms: u64,
    /// How often finished work past its retention is removed.
    pub retention_ms: u64,
    /// How long the worker waits for one statement of its own before it takes the database for
    /// away.
    pub answer_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease_ms: 60_000,
            heartbeat_ms: 10_000,
            poll_ms: 500,
            redispatch_ms: 30_000,
            drain_ms: 8_000,
            retention_ms: 600_000,
            answer_timeout_ms: 10_000,
        }
    }
}

impl Config {
    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    pub(crate) fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms)
    }

    pub(crate) fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }

    pub(crate) fn answer_timeout(&self) -> Duration {
        Duration::from_millis(self.answer_timeout_ms)
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}
