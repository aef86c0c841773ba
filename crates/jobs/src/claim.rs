//! Which job is claimed next: `priority + minutes waiting / 10`, then due time.

use chrono::{DateTime, Utc};

use crate::job::{PRIORITY_MAX, PRIORITY_MIN};

/// Jobs of this priority and above have a slot of their own.
pub const URGENT_PRIORITY: u8 = 8;

/// Every tenth claim prefers jobs of this priority and below.
pub const LOW_PRIORITY: u8 = 3;

/// One claim in so many prefers low priorities.
const LOW_EVERY: u64 = 10;

/// Minutes of waiting that weigh as much as one step of priority.
const MINUTES_PER_STEP: f64 = 10.0;

/// Which jobs a claim looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// All.
    Any,
    /// Those for which a slot is reserved.
    Urgent,
    /// Those that others keep overtaking.
    Low,
}

impl Lane {
    /// The lowest and the highest priority of the lane.
    #[must_use]
    pub fn priorities(self) -> (u8, u8) {
        match self {
            Self::Any => (PRIORITY_MIN, PRIORITY_MAX),
            Self::Urgent => (URGENT_PRIORITY, PRIORITY_MAX),
            Self::Low => (PRIORITY_MIN, LOW_PRIORITY),
        }
    }

    /// The lane that the `n`th claim of an ordinary slot, counted from 0, tries first; where that
    /// is empty it takes any.
    #[must_use]
    pub fn of_claim(n: u64) -> Self {
        if n % LOW_EVERY == LOW_EVERY - 1 { Self::Low } else { Self::Any }
    }
}

/// How many of a kind's slots are ordinary, and whether one more is kept for urgent jobs.
#[must_use]
pub fn slots(concurrency: u32) -> (u32, bool) {
    if concurrency >= 2 { (concurrency - 1, true) } else { (1, false) }
}

/// What a job is worth at `now`: the highest is claimed first. The ledger's column `rank` orders
/// the same way without knowing the time.
#[must_use]
pub fn score(priority: u8, due: DateTime<Utc>, now: DateTime<Utc>) -> f64 {
    let waiting_minutes = (now - due).as_seconds_f64() / 60.0;
    f64::from(priority) + waiting_minutes / MINUTES_PER_STEP
}

/// The column `rank`: the lowest is claimed first.
#[must_use]
pub fn rank(priority: u8, due: DateTime<Utc>) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "microseconds of our time fit 53 bits")]
    let due_s = due.timestamp_micros() as f64 / 1e6;
    due_s - MINUTES_PER_STEP * 60.0 * f64::from(priority)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("in range")
    }

    proptest! {
        #[test]
        fn rank_orders_as_score_does_at_any_time(
            a in (1u8..=10, 0i64..100_000), b in (1u8..=10, 0i64..100_000), now in 0i64..200_000,
        ) {
            let score = |(priority, due)| score(priority, at(due), at(now));
            let rank = |(priority, due)| rank(priority, at(due));
            if score(a) > score(b) + 1e-6 {
                prop_assert!(rank(a) < rank(b));
            }
        }

        #[test]
        fn nothing_starves(priority in 1u8..=10) {
            // After 90 minutes the least job outweighs the newest of the highest priority.
            let waited = at(0) - TimeDelta::minutes(91);
            prop_assert!(score(1, waited, at(0)) > score(priority, at(0), at(0)));
        }
    }

    #[test]
    fn every_tenth_claim_prefers_low_priorities() {
        let low = (0..100).filter(|&n| Lane::of_claim(n) == Lane::Low).count();
        assert_eq!(low, 10);
        assert_eq!(Lane::of_claim(0), Lane::Any);
    }

    #[test]
    fn one_slot_of_several_is_kept_for_urgent_jobs() {
        assert_eq!(slots(1), (1, false));
        assert_eq!(slots(2), (1, true));
        assert_eq!(slots(8), (7, true));
        assert_eq!(slots(0), (1, false));
    }
}
