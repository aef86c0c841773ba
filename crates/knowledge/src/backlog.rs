//! When to take no more documents: the less urgent a source, the sooner it waits. Pure.

use std::time::Duration;

use proto::{Failure, Reason};

/// From here on sources of low priority (1 to 3) wait.
const LOW_MAX: u64 = 5_000;
/// From here on sources of normal priority wait.
const NORMAL_MAX: u64 = 10_000;
/// From here on even urgent sources (8 to 10) wait.
const HIGH_MAX: u64 = 20_000;

/// How many waiting documents are told apart.
pub const COUNTED_MAX: u32 = 50_000;

/// When a caller that was refused comes back.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Whether documents of a priority are taken while `waiting` others are not indexed yet.
///
/// # Errors
/// `BACKLOG` that says when to come back.
pub fn admit(priority: u8, waiting: u64) -> Result<(), Failure> {
    let limit = match priority {
        ..=3 => LOW_MAX,
        4..=7 => NORMAL_MAX,
        8.. => HIGH_MAX,
    };
    if waiting < limit {
        return Ok(());
    }
    let message = format!(
        "{waiting} documents wait to be indexed and {limit} is the limit at priority {priority}: \
         submit again in {} s",
        RETRY_AFTER.as_secs()
    );
    Err(Failure::new(Reason::Backlog, message)
        .fact("waiting", waiting)
        .fact("limit", limit)
        .retry_after(RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgent_sources_are_refused_last() {
        let check = |priority, waiting, taken: bool| {
            assert_eq!(admit(priority, waiting).is_ok(), taken, "{priority} {waiting}");
        };
        check(1, 4_999, true);
        check(3, 5_000, false);
        check(4, 5_000, true);
        check(7, 10_000, false);
        check(8, 10_000, true);
        check(10, 20_000, false);
    }
}
