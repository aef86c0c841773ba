//! How long a failed job waits.

use std::time::Duration;

use crate::job::RetryPolicy;

/// Jitter only ever adds, up to half: jobs that failed together come back apart, and never sooner
/// than the policy says.
const JITTER_MAX: f64 = 0.5;

/// The delay after the `attempt`th charged failure, counted from 1. `random` is drawn from 0 to 1.
#[must_use]
pub fn delay(policy: RetryPolicy, attempt: u32, random: f64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(63);
    let base_ms = policy.first_ms.saturating_mul(1 << doublings).min(policy.cap_ms);
    Duration::from_millis(base_ms).mul_f64(1.0 + JITTER_MAX * random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn delays_double() {
        let seconds = |attempt| delay(RetryPolicy::STANDARD, attempt, 0.0).as_secs();
        assert_eq!((1..=7).map(seconds).collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 64]);
    }

    #[test]
    fn eight_attempts_outlast_an_outage_of_two_minutes() {
        let policy = RetryPolicy::STANDARD;
        let waits = (1..policy.attempts_max).map(|attempt| delay(policy, attempt, 0.0));
        assert!(waits.sum::<Duration>() > Duration::from_secs(120));
    }

    proptest! {
        #[test]
        fn a_delay_stays_in_its_bounds(
            first_ms in 1u64..10_000, cap_ms in 1u64..10_000_000, attempt in 0u32..u32::MAX,
            random in -1.0f64..2.0,
        ) {
            let policy = RetryPolicy { first_ms, cap_ms, attempts_max: 8 };
            let delay = delay(policy, attempt, random);
            prop_assert!(delay >= Duration::from_millis(first_ms.min(cap_ms)));
            prop_assert!(delay <= Duration::from_millis(cap_ms).mul_f64(1.5));
        }
    }
}
