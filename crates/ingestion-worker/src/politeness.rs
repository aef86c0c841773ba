//! When the next request to a remote host may start, over all workers.

use chrono::{DateTime, TimeDelta, Utc};

/// What the ledger knows of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The earliest start of the next request.
    pub next_at: DateTime<Utc>,
    /// What the host itself asked for by Retry-After or 429.
    pub hold_until: DateTime<Utc>,
    /// When each request under way gives its place back at the latest.
    pub busy_until: Vec<DateTime<Utc>>,
}

/// How we behave towards a host.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the start of one request to the start of the next.
    pub interval: TimeDelta,
    /// Requests at once.
    pub concurrency: usize,
    /// How long a worker waits for its turn without giving its slot to another job.
    pub wait_max: TimeDelta,
    /// After this time a request whose worker died counts no more.
    pub lease: TimeDelta,
}

/// The answer to a worker that wants to send a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Its turn is at `start`; `host` is the state to store.
    Take {
        /// When to send.
        start: DateTime<Utc>,
        /// Identifies the place among `busy_until`, to give it back.
        busy_until: DateTime<Utc>,
        /// The state with this request in it.
        host: Host,
    },
    /// The host itself asked not to be asked before then.
    Held(DateTime<Utc>),
    /// Our own distance between requests is kept until then.
    Later(DateTime<Utc>),
    /// As many requests as we allow ourselves are under way.
    Busy,
}

/// Decides at `now`.
#[must_use]
pub fn turn(host: &Host, limits: Limits, now: DateTime<Utc>) -> Turn {
    let mut busy: Vec<_> = host.busy_until.iter().copied().filter(|end| *end > now).collect();
    let start = now.max(host.next_at).max(host.hold_until);
    if host.hold_until - now > limits.wait_max {
        return Turn::Held(host.hold_until);
    }
    if busy.len() >= limits.concurrency {
        return Turn::Busy;
    }
    if start - now > limits.wait_max {
        return Turn::Later(start);
    }
    // Distinct even for two requests that start in the same microsecond.
    let mut busy_until = start + limits.lease;
    while busy.contains(&busy_until) {
        busy_until += TimeDelta::microseconds(1);
    }
    busy.push(busy_until);
    let host = Host { next_at: start + limits.interval, busy_until: busy, ..host.clone() };
    Turn::Take { start, busy_until, host }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        interval: TimeDelta::seconds(1),
        concurrency: 2,
        wait_max: TimeDelta::seconds(3),
        lease: TimeDelta::seconds(60),
    };

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_800_000_000_000 + millis).expect("a time")
    }

    fn idle() -> Host {
        let long_ago = DateTime::UNIX_EPOCH;
        Host { next_at: long_ago, hold_until: long_ago, busy_until: vec![] }
    }

    #[test]
    fn an_idle_host_is_asked_at_once_and_then_in_intervals() {
        let Turn::Take { start, host, .. } = turn(&idle(), LIMITS, at(0)) else { panic!("idle") };
        assert_eq!(start, at(0));
        let Turn::Take { start, host, .. } = turn(&host, LIMITS, at(100)) else { panic!("free") };
        assert_eq!(start, at(1_000));
        assert_eq!(turn(&host, LIMITS, at(200)), Turn::Busy, "both places are taken");
    }

    #[test]
    fn a_hold_is_obeyed_by_everyone() {
        let host = Host { hold_until: at(60_000), ..idle() };
        assert_eq!(turn(&host, LIMITS, at(0)), Turn::Held(at(60_000)));
        let Turn::Take { start, .. } = turn(&host, LIMITS, at(58_000)) else { panic!("nearly") };
        assert_eq!(start, at(60_000));
    }

    #[test]
    fn our_own_distance_is_told_from_a_hold() {
        let host = Host { next_at: at(60_000), ..idle() };
        assert_eq!(turn(&host, LIMITS, at(0)), Turn::Later(at(60_000)));
    }

    #[test]
    fn a_dead_workers_place_falls_free() {
        let host = Host { busy_until: vec![at(0), at(0)], ..idle() };
        assert!(matches!(turn(&host, LIMITS, at(1)), Turn::Take { .. }));
    }

    proptest! {
        #[test]
        fn starts_keep_their_distance_and_places_their_number(
            steps in prop::collection::vec((0..4_000_i64, any::<bool>()), 1..60),
        ) {
            let (mut host, mut now, mut last) = (idle(), 0, None);
            for (pause, release) in steps {
                now += pause;
                if release {
                    host.busy_until.pop();
                }
                if let Turn::Take { start, host: next, .. } = turn(&host, LIMITS, at(now)) {
                    prop_assert!(start >= at(now) && start - at(now) <= LIMITS.wait_max);
                    if let Some(last) = last {
                        prop_assert!(start - last >= LIMITS.interval);
                    }
                    let busy = next.busy_until.iter().filter(|end| **end > at(now)).count();
                    prop_assert!(busy <= LIMITS.concurrency);
                    (last, host) = (Some(start), next);
                }
            }
        }
    }
}
