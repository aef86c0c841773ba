//! Waiting for a condition with a deadline, in place of a sleep.

use std::fmt::Debug;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// How often the condition is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Waits until `condition` answers `Ok` and returns its value. `Err` carries what was seen
/// instead.
///
/// # Panics
/// When `deadline` passes first; the message shows what was seen last.
#[track_caller]
pub fn eventually<T, E: Debug, F: Future<Output = Result<T, E>>>(
    deadline: Duration,
    mut condition: impl FnMut() -> F,
) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        let end = Instant::now() + deadline;
        let mut last = None;
        while let Ok(seen) = timeout_at(end, condition()).await {
            match seen {
                Ok(value) => return value,
                Err(seen) => last = Some(seen),
            }
            if Instant::now() >= end {
                break;
            }
            sleep(POLL_INTERVAL).await;
        }
        match last {
            Some(seen) => panic!("{caller}: not within {deadline:?}; last seen: {seen:?}"),
            None => panic!("{caller}: not within {deadline:?}; the condition never answered"),
        }
    }
}

/// Waits until `observe` answers `expected`.
///
/// # Panics
/// When `deadline` passes first; the message shows both values.
#[track_caller]
pub fn eventually_eq<T: Debug + PartialEq, F: Future<Output = T>>(
    deadline: Duration,
    expected: T,
    mut observe: impl FnMut() -> F,
) -> impl Future<Output = ()> {
    let expected = std::sync::Arc::new(expected);
    eventually(deadline, move || {
        let (seen, expected) = (observe(), expected.clone());
        async move {
            let seen = seen.await;
            if seen == *expected { Ok(()) } else { Err(Mismatch { expected, seen }) }
        }
    })
}

/// What [`eventually_eq`] shows; read through `Debug` only.
#[derive(Debug)]
struct Mismatch<T> {
    #[expect(dead_code, reason = "shown by Debug")]
    expected: std::sync::Arc<T>,
    #[expect(dead_code, reason = "shown by Debug")]
    seen: T,
}
