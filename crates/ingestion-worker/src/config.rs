//! The section `ingestion` of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::politeness::Limits;
use crate::reading;

/// What a place at a host takes beyond fetching and reading: our own database.
const HOST_LEASE_MARGIN: Duration = Duration::from_secs(10);

/// Whatever time a fetch may take, a place whose worker died falls free after a day.
const HOST_LEASE_MAX: TimeDelta = TimeDelta::days(1);

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
    /// How we behave towards each host. A place there counts, when its worker died, for as long as
    /// the longest fetch and the reading of what came.
    #[must_use]
    pub fn host_limits(&self, fetch_time_max: Duration) -> Limits {
        let lease = fetch_time_max.saturating_add(reading::TIME_MAX + HOST_LEASE_MARGIN);
        Limits {
            interval: TimeDelta::milliseconds(i64::from(self.host_interval_ms)),
            concurrency: self.host_concurrency.max(1) as usize,
            wait_max: TimeDelta::milliseconds(i64::from(self.host_wait_ms)),
            lease: TimeDelta::from_std(lease).map_or(HOST_LEASE_MAX, |it| it.min(HOST_LEASE_MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_kept_for_as_long_as_a_fetch_may_take() {
        let lease = |seconds| Config::default().host_limits(Duration::from_secs(seconds)).lease;
        assert!(lease(600) > TimeDelta::seconds(600) && lease(20) > TimeDelta::seconds(20));
        assert_eq!(lease(u64::MAX), HOST_LEASE_MAX);
    }
}
