//! What a caller or a job is told when an embedder fails.

use std::time::Duration;

use proto::{Failure, Reason};

use crate::embed;

/// When a job comes back that needs an embedder which is not there.
pub const EMBEDDER_RETRY: Duration = Duration::from_secs(30);

/// For a caller.
#[must_use]
pub fn failure(error: &embed::Error) -> Failure {
    match error {
        embed::Error::Transient { retry_after, .. } => {
            Failure::new(Reason::Unavailable, error.to_string())
                .retry_after(retry_after.unwrap_or(EMBEDDER_RETRY))
        }
        embed::Error::TooLong { .. } => Failure::new(Reason::TooLarge, error.to_string()),
        embed::Error::Permanent { .. } => Failure::new(Reason::Internal, error.to_string()),
    }
}

/// For a job: an embedder that is away for hours must not make a document a dead letter, so
/// whatever may pass costs no attempt.
#[must_use]
pub fn of_job(error: &embed::Error) -> jobs::Error {
    let failure = failure(error);
    match error {
        embed::Error::Transient { retry_after, .. } => {
            let retry_after = retry_after.unwrap_or(EMBEDDER_RETRY);
            jobs::Error::RateLimited { failure, retry_after }
        }
        embed::Error::TooLong { .. } => jobs::Error::Permanent(failure),
        // A new configuration may mend it; eight attempts take a while.
        embed::Error::Permanent { .. } => jobs::Error::Transient(failure),
    }
}
