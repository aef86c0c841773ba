//! What happens to a job once its run has ended. Pure.

use std::time::Duration;

use crate::error::Error;
use crate::job::{Outcome, RetryPolicy};
use crate::retry;

/// How soon a job is tried again after our own database was away.
const DATABASE_DELAY: Duration = Duration::from_secs(1);

/// A wait that costs no attempt doubles so often while failures follow one another, at most.
const DOUBLINGS_MAX: u32 = 4;

/// How a run ended.
#[derive(Debug, Clone)]
pub enum Ended {
    /// By itself.
    Returned(Result<Outcome, Error>),
    /// It panicked, with this message.
    Panicked(String),
    /// It made no progress for longer than its limit.
    TimedOut(Duration),
    /// A person cancelled it.
    Cancelled,
    /// The worker drained before it was over.
    HandedBack,
    /// Another worker has it.
    LeaseLost,
}

/// What is known about the job.
#[derive(Debug, Clone, Copy)]
pub struct Situation {
    /// Charged attempts, this one included.
    pub attempt: u32,
    /// Failures in a row before this run that cost no attempt.
    pub deferrals: u32,
    /// The kind's policy.
    pub policy: RetryPolicy,
    /// Whether this run moved the cursor or reported more done.
    pub advanced: bool,
    /// Whether the worker drains.
    pub draining: bool,
    /// How long until the job expires.
    pub expires_in: Duration,
    /// Drawn from 0 to 1.
    pub random: f64,
}

/// What is written to the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Done.
    Done,
    /// Nothing: the run said so itself, or another worker has the job.
    Nothing,
    /// Queued again.
    Requeue {
        /// The attempt's outcome.
        outcome: &'static str,
        /// What went wrong, if anything.
        error: Option<String>,
        /// Not before.
        after: Duration,
        /// Whether the attempt counts.
        charged: bool,
    },
    /// Dead.
    Dead {
        /// The attempt's outcome.
        outcome: &'static str,
        /// Why.
        error: String,
    },
    /// It crashed: it runs alone next.
    Crashed {
        /// The panic's message.
        error: String,
    },
    /// Cancelled.
    Cancelled,
}

/// Decides what happens to a job.
#[must_use]
pub fn decide(ended: Ended, situation: Situation) -> Verdict {
    match ended {
        Ended::Returned(Ok(outcome)) => after_success(outcome, situation),
        Ended::Returned(Err(error)) => after_error(error, situation),
        Ended::Panicked(message) => Verdict::Crashed { error: format!("panicked: {message}") },
        Ended::TimedOut(limit) => transient(
            format!("made no progress for its limit of {} s and was ended", limit.as_secs_f64()),
            situation,
        ),
        Ended::Cancelled => Verdict::Cancelled,
        Ended::HandedBack => uncharged("handed_back", None, Duration::ZERO, situation),
        Ended::LeaseLost => Verdict::Nothing,
    }
}

fn after_success(outcome: Outcome, situation: Situation) -> Verdict {
    match outcome {
        Outcome::Done => Verdict::Done,
        Outcome::Completed => Verdict::Nothing,
        Outcome::Yield if situation.advanced || situation.draining => {
            uncharged("yielded", None, Duration::ZERO, situation)
        }
        Outcome::Yield => transient(
            "the slice ended without progress: the cursor did not move".to_owned(),
            situation,
        ),
        Outcome::Later(delay) => uncharged("yielded", None, delay, situation),
    }
}

fn after_error(error: Error, situation: Situation) -> Verdict {
    let text = error.to_string();
    match error {
        Error::Permanent(_) => Verdict::Dead { outcome: "permanent", error: text },
        Error::Transient(_) => transient(text, situation),
        Error::RateLimited { retry_after, .. } => {
            uncharged("rate_limited", Some(text), retry_after, situation)
        }
        Error::Database(_) => uncharged("handed_back", Some(text), DATABASE_DELAY, situation),
        Error::LeaseLost => Verdict::Nothing,
    }
}

fn transient(error: String, situation: Situation) -> Verdict {
    let Situation { attempt, policy, random, .. } = situation;
    if attempt >= policy.attempts_max {
        let error = format!("{error} (attempt {attempt} of {})", policy.attempts_max);
        return Verdict::Dead { outcome: "transient", error };
    }
    Verdict::Requeue {
        outcome: "transient",
        error: Some(error),
        after: retry::delay(policy, attempt, random),
        charged: true,
    }
}

fn uncharged(
    outcome: &'static str,
    error: Option<String>,
    after: Duration,
    situation: Situation,
) -> Verdict {
    let after = if error.is_some() { deferred(after, situation) } else { after };
    if after <= situation.expires_in {
        return Verdict::Requeue { outcome, error, after, charged: false };
    }
    let error = error.unwrap_or_else(|| "was to be tried again later".to_owned());
    Verdict::Dead { outcome, error: format!("{error}; it expires before it may be tried again") }
}

/// As long as was asked for, and longer for who comes again and again, up to the policy's longest
/// delay: nothing else bounds how often such a job is tried.
fn deferred(after: Duration, situation: Situation) -> Duration {
    let doubled = after * (1 << situation.deferrals.min(DOUBLINGS_MAX));
    after.max(doubled.min(Duration::from_millis(situation.policy.cap_ms)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proto::{Failure, Reason};

    use super::*;

    const SITUATION: Situation = Situation {
        attempt: 1,
        deferrals: 0,
        policy: RetryPolicy::STANDARD,
        advanced: false,
        draining: false,
        expires_in: Duration::from_secs(3600),
        random: 0.0,
    };

    fn failure() -> Failure {
        Failure::new(Reason::Unavailable, "the site is away")
    }

    fn check(ended: Ended, situation: Situation, expect: (&str, bool, u64)) {
        let seen = match decide(ended, situation) {
            Verdict::Requeue { outcome, after, charged, .. } => (outcome, charged, after.as_secs()),
            Verdict::Dead { outcome, .. } => (outcome, true, u64::MAX),
            other => panic!("{other:?}"),
        };
        assert_eq!(seen, expect);
    }

    #[test]
    fn only_transient_errors_are_charged() {
        let returned = |error| Ended::Returned(Err(error));
        let retry_after = Duration::from_secs(90);
        let limited = Error::RateLimited { failure: failure(), retry_after };
        check(returned(Error::Transient(failure())), SITUATION, ("transient", true, 1));
        check(returned(limited.clone()), SITUATION, ("rate_limited", false, 90));
        check(returned(Error::Database(failure())), SITUATION, ("handed_back", false, 1));
        check(returned(Error::Permanent(failure())), SITUATION, ("permanent", true, u64::MAX));
        check(Ended::HandedBack, SITUATION, ("handed_back", false, 0));
        let nearly_expired = Situation { expires_in: Duration::from_secs(60), ..SITUATION };
        let again = |deferrals| Situation { deferrals, ..SITUATION };
        check(returned(Error::Database(failure())), again(2), ("handed_back", false, 4));
        check(returned(Error::Database(failure())), again(99), ("handed_back", false, 16));
        check(returned(limited.clone()), again(99), ("rate_limited", false, 600));
        check(returned(limited), nearly_expired, ("rate_limited", true, u64::MAX));
    }

    #[test]
    fn a_slice_without_progress_is_an_error_unless_the_worker_drains() {
        let yielded = || Ended::Returned(Ok(Outcome::Yield));
        check(yielded(), SITUATION, ("transient", true, 1));
        check(yielded(), Situation { advanced: true, ..SITUATION }, ("yielded", false, 0));
        check(yielded(), Situation { draining: true, ..SITUATION }, ("yielded", false, 0));
    }

    #[test]
    fn work_that_waits_for_something_else_is_not_charged_until_it_expires() {
        let later = |seconds| Ended::Returned(Ok(Outcome::Later(Duration::from_secs(seconds))));
        check(later(60), SITUATION, ("yielded", false, 60));
        check(later(7200), SITUATION, ("yielded", true, u64::MAX));
    }

    #[test]
    fn the_eighth_transient_failure_is_the_last() {
        let ended = || Ended::Returned(Err(Error::Transient(failure())));
        check(ended(), Situation { attempt: 7, ..SITUATION }, ("transient", true, 64));
        check(ended(), Situation { attempt: 8, ..SITUATION }, ("transient", true, u64::MAX));
    }

    #[test]
    fn a_panic_is_a_crash_and_a_lost_lease_writes_nothing() {
        let crashed = decide(Ended::Panicked("index out of range".into()), SITUATION);
        assert_eq!(crashed, Verdict::Crashed { error: "panicked: index out of range".into() });
        assert_eq!(decide(Ended::LeaseLost, SITUATION), Verdict::Nothing);
        assert_eq!(decide(Ended::Returned(Err(Error::LeaseLost)), SITUATION), Verdict::Nothing);
    }

    proptest! {
        #[test]
        fn a_limit_never_costs_an_attempt_nor_brings_a_job_back_too_soon(
            attempt in 1u32..100, wait in 0u64..3600, random in 0.0f64..1.0,
        ) {
            let retry_after = Duration::from_secs(wait);
            let error = Error::RateLimited { failure: failure(), retry_after };
            let situation = Situation { attempt, random, ..SITUATION };
            match decide(Ended::Returned(Err(error)), situation) {
                Verdict::Requeue { after, charged, .. } => {
                    prop_assert!(!charged && after >= retry_after);
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn a_transient_failure_ends_after_the_last_attempt_only(attempt in 1u32..20) {
            let error = Error::Transient(failure());
            let situation = Situation { attempt, ..SITUATION };
            let dead = matches!(
                decide(Ended::Returned(Err(error)), situation), Verdict::Dead { .. }
            );
            prop_assert_eq!(dead, attempt >= 8);
        }
    }
}
