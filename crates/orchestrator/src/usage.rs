//! What services use of their limits: computed from the Engine's counters, for cgroup v1 and v2.
//!
//! A [`Reading`] is what the Engine counts at one moment; CPU is the difference of two. The memory
//! that counts is the working set: what the kernel would give back first is not in it, everything
//! else is, tmpfs too, because that is what a limit kills for.

mod record;
mod sampler;

use chrono::{DateTime, Utc};

pub use record::{Record, SAMPLES_MAX};
pub use sampler::Usage;

const CPU_MILLIS: f64 = 1000.0;

/// The Engine's counters of a container at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// When, by the Engine's clock.
    pub at: DateTime<Utc>,
    /// CPU time that the container has had, in nanoseconds.
    pub cpu_ns: u64,
    /// CPU time of the whole host, idle time too, of all CPUs together, in nanoseconds.
    pub host_cpu_ns: u64,
    /// CPUs of the host.
    pub cpus: u32,
    /// Bytes that are charged to its limit.
    pub memory_charged: u64,
    /// Bytes of files that it has not read for a while.
    pub memory_inactive_file: u64,
    /// Bytes that belong to no file.
    pub memory_anonymous: u64,
    /// Bytes; the host's memory when there is no limit.
    pub memory_limit: u64,
    /// Processes and threads.
    pub pids: u64,
    /// 0: no limit.
    pub pids_limit: u64,
    /// Bytes, over all its networks.
    pub received: u64,
    /// Bytes, over all its networks.
    pub sent: u64,
    /// Bytes from disks.
    pub disk_read: u64,
    /// Bytes to disks.
    pub disk_written: u64,
}

/// What a container uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When, by the Engine's clock.
    pub at: DateTime<Utc>,
    /// Thousandths of a CPU since the sample before; 0 in the first one.
    pub cpu_millis: f64,
    /// Working set in bytes.
    pub memory: u64,
    /// Bytes; the host's memory when there is no limit.
    pub memory_limit: u64,
    /// Processes and threads.
    pub pids: u64,
    /// 0: no limit.
    pub pids_limit: u64,
    /// Bytes since its start, over all its networks.
    pub received: u64,
    /// Bytes since its start, over all its networks.
    pub sent: u64,
    /// Bytes since its start.
    pub disk_read: u64,
    /// Bytes since its start.
    pub disk_written: u64,
}

impl Reading {
    /// What was used since the reading `before`, of the same run of the same container.
    #[must_use]
    pub fn since(&self, before: Option<&Self>) -> Sample {
        Sample {
            at: self.at,
            cpu_millis: before.map_or(0.0, |before| self.cpu_millis_since(before)),
            memory: self.working_set(),
            memory_limit: self.memory_limit,
            pids: self.pids,
            pids_limit: self.pids_limit,
            received: self.received,
            sent: self.sent,
            disk_read: self.disk_read,
            disk_written: self.disk_written,
        }
    }

    /// The container's share of what all CPUs had to give. A counter that runs backwards is one of
    /// another run: the container was restarted between the two.
    fn cpu_millis_since(&self, before: &Self) -> f64 {
        let used = self.cpu_ns.checked_sub(before.cpu_ns);
        let given = self.host_cpu_ns.checked_sub(before.host_cpu_ns).filter(|it| *it > 0);
        match (used, given) {
            (Some(used), Some(given)) => {
                used as f64 / given as f64 * f64::from(self.cpus) * CPU_MILLIS
            }
            _ => 0.0,
        }
    }

    /// Some kernels charge nothing to the container itself; what belongs to no file is then the
    /// best that is known.
    fn working_set(&self) -> u64 {
        match self.memory_charged {
            0 => self.memory_anonymous,
            charged => charged.checked_sub(self.memory_inactive_file).unwrap_or(charged),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const READING: Reading = Reading {
        at: DateTime::UNIX_EPOCH,
        cpu_ns: 0,
        host_cpu_ns: 0,
        cpus: 2,
        memory_charged: 100,
        memory_inactive_file: 30,
        memory_anonymous: 60,
        memory_limit: 1000,
        pids: 3,
        pids_limit: 0,
        received: 1,
        sent: 2,
        disk_read: 3,
        disk_written: 4,
    };

    #[test]
    fn cpu_is_the_share_of_what_the_host_had_to_give() {
        // In one second of a host with two CPUs, two seconds of CPU time can be had.
        let second = |used| Reading { cpu_ns: used, host_cpu_ns: 2_000_000_000, ..READING };
        let millis = |used| second(used).since(Some(&READING)).cpu_millis;
        assert_eq!([0, 500_000_000, 2_000_000_000].map(millis), [0.0, 500.0, 2000.0]);
        assert_eq!(second(1).since(None).cpu_millis, 0.0, "one reading says nothing");
        let restarted = Reading { cpu_ns: 5_000, ..READING };
        assert_eq!(second(10).since(Some(&restarted)).cpu_millis, 0.0);
        assert_eq!(READING.since(Some(&READING)).cpu_millis, 0.0, "no time has passed");
    }

    #[test]
    fn memory_is_the_working_set() {
        let memory = |charged, inactive| {
            let reading =
                Reading { memory_charged: charged, memory_inactive_file: inactive, ..READING };
            reading.since(None).memory
        };
        assert_eq!(memory(100, 30), 70);
        assert_eq!(memory(100, 130), 100, "a counter that makes no sense is left out");
        assert_eq!(memory(0, 30), 60, "the kernel charged nothing");
    }

    proptest! {
        #[test]
        fn no_reading_makes_nonsense(
            cpu in any::<[u64; 2]>(), host in any::<[u64; 2]>(), charged: u64, inactive: u64,
        ) {
            let memory = Reading {
                memory_charged: charged, memory_inactive_file: inactive, ..READING
            };
            let [before, after] = [0, 1].map(|it| {
                Reading { cpu_ns: cpu[it], host_cpu_ns: host[it], ..memory }
            });
            let sample = after.since(Some(&before));
            prop_assert!(sample.cpu_millis >= 0.0 && sample.cpu_millis.is_finite());
            prop_assert!(sample.memory <= charged.max(READING.memory_anonymous));
        }
    }
}
