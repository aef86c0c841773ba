//! The last minute of one service, and its peak. Pure.

use std::collections::VecDeque;

use super::{Reading, Sample};

/// Samples that are kept: a minute, one every five seconds.
pub const SAMPLES_MAX: usize = 12;

/// What a service used lately, over all its containers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// The last minute, oldest first.
    pub samples: VecDeque<Sample>,
    /// The largest working set of the present container, in bytes.
    pub memory_peak: u64,
    /// Processes that the kernel ended for memory since we began to look.
    pub oom_kills: u64,
    pub(crate) container: String,
    pub(crate) last: Option<Reading>,
}

impl Record {
    /// Learns a reading of the service's present container.
    pub fn learn(&mut self, container: &str, reading: Reading) {
        if self.container != container {
            container.clone_into(&mut self.container);
            (self.last, self.memory_peak) = (None, 0);
        }
        if self.last.is_some_and(|last| reading.at <= last.at) {
            return;
        }
        let sample = reading.since(self.last.as_ref());
        self.last = Some(reading);
        self.memory_peak = self.memory_peak.max(sample.memory);
        self.samples.push_back(sample);
        let surplus = self.samples.len().saturating_sub(SAMPLES_MAX);
        self.samples.drain(..surplus);
    }

    /// The newest sample.
    #[must_use]
    pub fn latest(&self) -> Option<&Sample> {
        self.samples.back()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;

    use super::*;

    fn reading(second: u64, memory: u64) -> Reading {
        Reading {
            at: DateTime::UNIX_EPOCH + Duration::from_secs(second),
            cpu_ns: second * 1_000_000,
            host_cpu_ns: second * 1_000_000_000,
            cpus: 1,
            memory_charged: memory,
            memory_inactive_file: 0,
            memory_anonymous: 0,
            memory_limit: 100,
            pids: 1,
            pids_limit: 0,
            received: 0,
            sent: 0,
            disk_read: 0,
            disk_written: 0,
        }
    }

    #[test]
    fn keeps_a_minute_and_the_peak_of_the_present_container() {
        let mut record = Record::default();
        (0..20).for_each(|n| record.learn("a", reading(n * 5, if n == 3 { 90 } else { 10 })));
        assert_eq!(record.samples.len(), SAMPLES_MAX);
        let first = record.samples.front().expect("there are some");
        let newest = record.latest().expect("there are some");
        assert_eq!((newest.at - first.at).num_seconds(), 55);
        assert_eq!(newest.cpu_millis, 1.0);
        assert_eq!(record.memory_peak, 90, "longer than a minute ago");
        record.learn("b", reading(100, 20));
        assert_eq!((record.memory_peak, record.samples.len()), (20, SAMPLES_MAX));
        assert_eq!(record.latest().expect("it is there").cpu_millis, 0.0, "another container");
    }

    #[test]
    fn an_old_reading_is_not_learned() {
        let mut record = Record::default();
        [5, 5, 3].into_iter().for_each(|second| record.learn("a", reading(second, 10)));
        assert_eq!(record.samples.len(), 1);
    }
}
