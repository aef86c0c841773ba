//! The section `ingestion` of the configuration.

use std::path::PathBuf;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::politeness::Limits;

/// How long a place at a host counts when its worker died, in seconds: longer than any fetch.
const HOST_LEASE_S: i64 = 120;

/// How sources are collected.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// From the start of one request to a host to the start of the next, over all workers.
    pub host_interval_ms: u32,
    /// Requests to one host at once, over all workers.
    pub host_concurrency: u32,
    /// How long a worker waits for its turn at a host before it takes other work.
    pub host_wait_ms: u32,
    /// Content that waits between the stages, in all.
    pub waiting_bytes_max: u64,
    /// After this many days a look at a source asks for the whole body, whatever the site said
    /// about it: some answer "not modified" for ever.
    pub full_look_days: u16,
    /// The key that seals credentials, shared by all replicas; made when there is none.
    pub seal_key_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host_interval_ms: 250,
            host_concurrency: 2,
            host_wait_ms: 5_000,
            waiting_bytes_max: 20 << 30,
            full_look_days: 7,
            seal_key_file: None,
        }
    }
}

impl Config {
    /// How we behave towards each host.
    #[must_use]
    pub fn host_limits(&self) -> Limits {
        Limits {
            interval: TimeDelta::milliseconds(i64::from(self.host_interval_ms)),
            concurrency: self.host_concurrency.max(1) as usize,
            wait_max: TimeDelta::milliseconds(i64::from(self.host_wait_ms)),
            lease: TimeDelta::seconds(HOST_LEASE_S),
        }
    }
}
