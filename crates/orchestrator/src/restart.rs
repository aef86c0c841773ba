//! What follows when a service ends by itself or is found unhealthy. Pure.
//!
//! This is the only authority on restarts: the Engine's own policy is `no`. A delay grows with
//! each end, 1, 2, 4, 8 .. 60 s, and is forgotten after a minute of being ready. Whoever ends too
//! often is left failed, with its container and log, and tried every five minutes.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::reason::{Reason, Retry};
use crate::spec::{Restart, RestartPolicy};

const DELAY_FIRST: Duration = Duration::from_secs(1);
const DELAY_MAX: Duration = Duration::from_secs(60);
/// How far a delay is drawn apart, up and down, so that services which failed together come back
/// one by one. With what a look and a start take, a pause stays within a fifth of what is told.
const JITTER: f64 = 0.1;
/// Being ready for so long makes a service stable.
const STABLE_AFTER: Duration = Duration::from_secs(60);
/// In which `attempts` are counted.
const WINDOW: Duration = Duration::from_secs(600);
/// A process that follows an end, and that nobody probes, is trusted after this long.
const SETTLED_AFTER: Duration = Duration::from_secs(5);
/// How often a failed service is tried.
const SELDOM: Duration = Duration::from_secs(300);
/// Restarts that are remembered, at most; above any number of attempts that a spec may name.
const RESTARTS_MAX: usize = 128;

/// What is remembered of a service's ends; a restart by hand or a new generation clears it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// Ends in a row since it was last stable.
    pub ends: u32,
    /// Ends in a row for the reason of the last end.
    pub same: u32,
    /// Of the last end.
    pub reason: Option<Reason>,
    /// It ended too often, and is only tried.
    pub failed: bool,
    /// When it was restarted in the last ten minutes, oldest first.
    pub restarts: Vec<DateTime<Utc>>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Why; see [`Exit::diagnose`](crate::reason::Exit::diagnose).
    pub reason: Reason,
    /// Its exit code was 0, and nobody asked it to end.
    pub success: bool,
    /// For how long it was ready before.
    pub ready_for: Duration,
    /// When.
    pub at: DateTime<Utc>,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is left as it is, and that is no failure.
    Leave,
    /// It is started again.
    Restart {
        /// Not before.
        at: DateTime<Utc>,
        /// Counts the ends in a row, from 1.
        attempt: u32,
    },
    /// It has failed.
    Failed {
        /// The reason of the last end, or that there were too many.
        reason: Reason,
        /// When it is tried nevertheless; `None`: not without a person.
        retry_at: Option<DateTime<Utc>>,
    },
}

/// Decides what follows, and what is remembered. `random` is drawn from 0 to 1.
#[must_use]
pub fn decide(history: &History, end: End, policy: Restart, random: f64) -> (Decision, History) {
    let mut next = history.clone();
    if end.success && policy.policy != RestartPolicy::Always {
        return (Decision::Leave, History::default());
    }
    if end.ready_for >= STABLE_AFTER {
        next = History { restarts: next.restarts, ..History::default() };
    }
    next.same = if next.reason == Some(end.reason) { next.same + 1 } else { 1 };
    next.ends = next.ends.saturating_add(1);
    next.reason = Some(end.reason);
    next.restarts.retain(|at| end.at < *at + WINDOW);
    let decision = judge(&mut next, end, policy, random);
    if let Decision::Restart { at, .. } | Decision::Failed { retry_at: Some(at), .. } = decision {
        next.restarts.push(at);
    }
    let surplus = next.restarts.len().saturating_sub(RESTARTS_MAX);
    next.restarts.drain(..surplus);
    (decision, next)
}

/// From when on a process that started at `started_at`, and that nobody probes, counts as ready;
/// `None`: at once, as it did not end lately.
#[must_use]
pub fn settles_at(history: &History, started_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let lately = history.restarts.last().is_some_and(|at| started_at < *at + WINDOW);
    (history.ends > 0 && lately).then(|| started_at + SETTLED_AFTER)
}

fn judge(next: &mut History, end: End, policy: Restart, random: f64) -> Decision {
    let hopeless = Decision::Failed { reason: end.reason, retry_at: None };
    if policy.policy == RestartPolicy::Never {
        return hopeless;
    }
    let too_often = next.failed || next.restarts.len() >= policy.attempts as usize;
    let failed = match end.reason.retry() {
        Retry::Never => return hopeless,
        Retry::Limited(times) if next.same > times => Some(end.reason),
        Retry::Seldom => Some(end.reason),
        _ if too_often => Some(Reason::CrashLoop),
        _ => None,
    };
    match failed {
        Some(reason) => {
            next.failed = true;
            Decision::Failed { reason, retry_at: Some(end.at + SELDOM) }
        }
        None => Decision::Restart { at: end.at + delay(next.ends, random), attempt: next.ends },
    }
}

/// The delay after the `n`th end in a row, counted from 1.
fn delay(n: u32, random: f64) -> Duration {
    let doublings = n.saturating_sub(1).min(16);
    let delay = (DELAY_FIRST * (1 << doublings)).min(DELAY_MAX);
    delay.mul_f64(1.0 + JITTER * (2.0 * random.clamp(0.0, 1.0) - 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Restart = Restart { policy: RestartPolicy::Always, attempts: 8 };
    /// No jitter.
    const MIDDLE: f64 = 0.5;

    fn start() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
    }

    fn end(reason: Reason, at: DateTime<Utc>) -> End {
        End { reason, success: false, ready_for: Duration::ZERO, at }
    }

    /// Lets a service end as soon as it is started; answers each delay, and what came last.
    fn crash(reason: Reason, times: usize) -> (Vec<i64>, Decision) {
        let (mut history, mut now, mut delays) = (History::default(), start(), Vec::new());
        let mut last = Decision::Leave;
        for _ in 0..times {
            (last, history) = decide(&history, end(reason, now), POLICY, MIDDLE);
            match last {
                Decision::Restart { at, .. } | Decision::Failed { retry_at: Some(at), .. } => {
                    delays.push((at - now).num_seconds());
                    now = at;
                }
                _ => break,
            }
        }
        (delays, last)
    }

    #[test]
    fn a_crash_loop_backs_off_then_fails_and_is_tried_every_five_minutes() {
        let (delays, last) = crash(Reason::Exited, 12);
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60, 300, 300, 300, 300]);
        assert!(matches!(last, Decision::Failed { reason: Reason::CrashLoop, .. }), "{last:?}");
    }

    #[test]
    fn out_of_memory_is_retried_three_times() {
        let (delays, last) = crash(Reason::OutOfMemory, 5);
        assert_eq!(delays, [1, 2, 4, 300, 300]);
        assert!(matches!(last, Decision::Failed { reason: Reason::OutOfMemory, .. }), "{last:?}");
    }

    #[test]
    fn what_cannot_mend_itself_is_not_retried() {
        for reason in [Reason::CommandNotFound, Reason::ImageUnusable, Reason::VolumePermission] {
            let failed = Decision::Failed { reason, retry_at: None };
            assert_eq!(crash(reason, 3), (vec![], failed));
        }
    }

    #[test]
    fn a_start_that_timed_out_is_tried_seldom() {
        let (delays, last) = crash(Reason::StartTimeout, 2);
        assert_eq!(delays, [300, 300]);
        assert!(matches!(last, Decision::Failed { reason: Reason::StartTimeout, .. }), "{last:?}");
    }

    #[test]
    fn the_policy_decides_about_success() {
        use RestartPolicy::{Always, Never, OnFailure};
        let failed = Decision::Failed { reason: Reason::Exited, retry_at: None };
        let again = |seconds| {
            let at = start() + Duration::from_secs(seconds);
            Decision::Restart { at, attempt: 1 }
        };
        let cases = [
            (Always, true, again(1)),
            (Always, false, again(1)),
            (OnFailure, true, Decision::Leave),
            (OnFailure, false, again(1)),
            (Never, true, Decision::Leave),
            (Never, false, failed),
        ];
        for (policy, success, expected) in cases {
            let end = End { success, ..end(Reason::Exited, start()) };
            let policy = Restart { policy, attempts: 8 };
            let (decision, _) = decide(&History::default(), end, policy, MIDDLE);
            assert_eq!(decision, expected, "{policy:?}, success: {success}");
        }
    }

    #[test]
    fn a_minute_of_being_ready_forgets_the_delay_but_not_the_count() {
        let (mut history, mut now, mut delays) = (History::default(), start(), Vec::new());
        for _ in 0..10 {
            let end = End { ready_for: STABLE_AFTER, ..end(Reason::Unhealthy, now) };
            let (decision, next) = decide(&history, end, POLICY, MIDDLE);
            let (Decision::Restart { at, .. } | Decision::Failed { retry_at: Some(at), .. }) =
                decision
            else {
                panic!("{decision:?}")
            };
            delays.push((at - now).num_seconds());
            (now, history) = (at + STABLE_AFTER, next);
        }
        assert_eq!(delays, [1, 1, 1, 1, 1, 1, 1, 1, 300, 1]);
    }

    #[test]
    fn whoever_ended_lately_must_run_for_a_while_before_it_counts() {
        let at = start();
        assert_eq!(settles_at(&History::default(), at), None, "its first start");
        let (decision, history) = decide(&History::default(), end(Reason::Exited, at), POLICY, 0.5);
        let Decision::Restart { at: again, .. } = decision else { panic!("{decision:?}") };
        assert_eq!(settles_at(&history, again), Some(again + SETTLED_AFTER));
        assert_eq!(settles_at(&history, again + WINDOW), None, "long ago");
    }

    #[test]
    fn old_restarts_do_not_count() {
        let (mut history, mut now) = (History::default(), start());
        for _ in 0..50 {
            let (decision, next) = decide(&history, end(Reason::Exited, now), POLICY, MIDDLE);
            assert!(matches!(decision, Decision::Restart { .. }), "{decision:?}");
            (now, history) = (now + Duration::from_secs(120), next);
        }
    }

    proptest! {
        #[test]
        fn a_delay_stays_within_a_tenth(n in 1u32..1_000, random in -1.0f64..2.0) {
            let exact = delay(n, MIDDLE).as_secs_f64();
            prop_assert_eq!(exact, 2f64.powi(n as i32 - 1).min(60.0));
            let drawn = delay(n, random).as_secs_f64();
            prop_assert!((drawn / exact - 1.0).abs() <= JITTER + 1e-9);
        }

        #[test]
        fn never_more_restarts_in_ten_minutes_than_allowed(
            ends in prop::collection::vec((0u64..200, 0u64..100, 0usize..Reason::ALL.len()), 1..60),
            attempts in 1u32..20,
        ) {
            let policy = Restart { policy: RestartPolicy::OnFailure, attempts };
            let (mut history, mut now) = (History::default(), start());
            let mut quick: Vec<DateTime<Utc>> = Vec::new();
            for (ran, ready, reason) in ends {
                now += Duration::from_secs(ran);
                let ready_for = Duration::from_secs(ready.min(ran));
                let end = End { ready_for, ..end(Reason::ALL[reason], now) };
                let (decision, next) = decide(&history, end, policy, MIDDLE);
                history = next;
                prop_assert!(history.restarts.len() <= RESTARTS_MAX);
                match decision {
                    Decision::Restart { at, .. } => {
                        prop_assert!(at > now);
                        quick.push(at);
                        now = at;
                    }
                    Decision::Failed { retry_at: Some(at), .. } => {
                        prop_assert_eq!(at, now + SELDOM);
                        now = at;
                    }
                    _ => {}
                }
                let recent = quick.iter().filter(|at| now < **at + WINDOW).count();
                prop_assert!(recent <= attempts as usize, "{recent} of {attempts}");
            }
        }
    }
}
