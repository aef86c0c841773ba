//! The Engine's counters of a container.

use bollard::models::{
    ContainerBlkioStatEntry, ContainerMemoryStats, ContainerNetworkStats, ContainerStatsResponse,
};
use bollard::query_parameters::StatsOptionsBuilder;
use chrono::DateTime;
use futures::StreamExt as _;

use super::{CALL_TIMEOUT, Client, Error};
use crate::usage::Reading;

impl Client {
    /// A container's counters; `None` when it does not run or is gone. Without its own wait for a
    /// second reading, the Engine answers within milliseconds.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn reading(&self, container: &str) -> Result<Option<Reading>, Error> {
        let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
        let asked = self
            .call("stats", CALL_TIMEOUT, async |it| {
                it.stats(container, Some(options)).next().await.transpose()
            })
            .await;
        match asked {
            Ok(stats) => Ok(stats.as_ref().and_then(read)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// `None` for a container that does not run: it has no counters.
fn read(stats: &ContainerStatsResponse) -> Option<Reading> {
    let at = DateTime::parse_from_rfc3339(stats.read.as_deref()?).ok()?;
    let cpu = stats.cpu_stats.as_ref()?;
    let memory = stats.memory_stats.as_ref()?;
    let pids = stats.pids_stats.as_ref();
    let disks = stats.blkio_stats.as_ref().and_then(|it| it.io_service_bytes_recursive.as_ref());
    let networks = || stats.networks.iter().flat_map(|it| it.values());
    let bytes =
        |count: fn(&ContainerNetworkStats) -> Option<u64>| networks().filter_map(count).sum();
    Some(Reading {
        at: at.to_utc(),
        cpu_ns: cpu.cpu_usage.as_ref()?.total_usage?,
        host_cpu_ns: cpu.system_cpu_usage?,
        cpus: cpu.online_cpus?,
        memory_charged: memory.usage.unwrap_or_default(),
        memory_inactive_file: counter(memory, ["total_inactive_file", "inactive_file"]),
        memory_anonymous: counter(memory, ["total_rss", "anon"]),
        memory_limit: memory.limit.unwrap_or_default(),
        pids: pids.and_then(|it| it.current).unwrap_or_default(),
        // An Engine without a limit leaves it out, or says the largest number.
        pids_limit: pids.and_then(|it| it.limit).filter(|it| *it != u64::MAX).unwrap_or_default(),
        received: bytes(|it| it.rx_bytes),
        sent: bytes(|it| it.tx_bytes),
        disk_read: disks.map_or(0, |it| transferred(it, "read")),
        disk_written: disks.map_or(0, |it| transferred(it, "write")),
    })
}

/// A counter by its names in cgroup v1 and in v2; in v1 only the total counts the children.
fn counter(memory: &ContainerMemoryStats, [one, two]: [&str; 2]) -> u64 {
    let counters = memory.stats.as_ref();
    let named = |name| counters.and_then(|it| it.get(name)).copied();
    named(one).or_else(|| named(two)).unwrap_or_default()
}

/// Bytes over all disks. cgroup v1 says `Read`, v2 `read`.
fn transferred(disks: &[ContainerBlkioStatEntry], operation: &str) -> u64 {
    let of = |it: &&ContainerBlkioStatEntry| {
        it.op.as_ref().is_some_and(|op| op.eq_ignore_ascii_case(operation))
    };
    disks.iter().filter(of).filter_map(|it| it.value).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = include_str!("../../tests/fixtures/stats/cgroup1-first.json");
    const SECOND: &str = include_str!("../../tests/fixtures/stats/cgroup1-second.json");
    const CGROUP2: &str = include_str!("../../tests/fixtures/stats/cgroup2-first.json");
    const STOPPED: &str = include_str!("../../tests/fixtures/stats/stopped.json");

    fn reading(recorded: &str) -> Option<Reading> {
        let stats = serde_json::from_str(recorded).expect("it was recorded from an Engine");
        read(&stats)
    }

    #[test]
    fn counters_of_cgroup_v1_are_understood() {
        let (first, second) = (reading(FIRST).expect("it runs"), reading(SECOND).expect("it runs"));
        let sample = second.since(Some(&first));
        // Half a CPU was its limit; the wall clock says 924,863,015 ns in 3.034 s.
        assert!((sample.cpu_millis - 304.8).abs() < 1.0, "{}", sample.cpu_millis);
        assert_eq!(sample.memory, 23_203_840 - 1_388_544);
        assert_eq!((sample.memory_limit, sample.pids, sample.pids_limit), (64 << 20, 5, 50));
        assert_eq!((sample.received, sample.sent), (736, 0));
    }

    #[test]
    fn counters_of_cgroup_v2_are_understood() {
        let sample = reading(CGROUP2).expect("it runs").since(None);
        assert_eq!(sample.memory, 20_103_168 - 6_668_288);
        assert_eq!((sample.memory_limit, sample.pids, sample.pids_limit), (512 << 20, 2, 256));
        assert_eq!((sample.received, sample.sent), (21_084_947_999, 933_302_257));
        assert_eq!((sample.disk_read, sample.disk_written), (168_443_904, 13_348_864));
    }

    #[test]
    fn a_container_that_does_not_run_has_no_counters() {
        assert_eq!(reading(STOPPED), None);
        assert_eq!(reading("{}"), None);
    }
}
