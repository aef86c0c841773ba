//! How a run may fail; the class decides what happens to the job.

use std::time::Duration;

use proto::{Failure, Reason};

/// When a receiver that is full does not say when to come back.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(30);

/// Why a run did not end well.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Trying again cannot help: the job is dead at once.
    #[error("{0}")]
    Permanent(Failure),
    /// It may pass: tried again with growing delays, each counted as an attempt.
    #[error("{0}")]
    Transient(Failure),
    /// The other side asked to come back later: no attempt is counted, until the job expires.
    #[error("{failure}")]
    RateLimited {
        /// What it said.
        failure: Failure,
        /// When to come back.
        retry_after: Duration,
    },
    /// Our own database is away: no attempt is counted, as the job is not at fault.
    #[error("{0}")]
    Database(Failure),
    /// Another worker has the job, or a person cancelled it: stop, and commit nothing more.
    #[error("the lease on this job is gone; another worker has it or it was cancelled")]
    LeaseLost,
}

impl Error {
    /// A permanent error with a reason and a message.
    #[must_use]
    pub fn permanent(reason: Reason, message: impl Into<String>) -> Self {
        Self::Permanent(Failure::new(reason, message))
    }

    /// A transient error with a reason and a message.
    #[must_use]
    pub fn transient(reason: Reason, message: impl Into<String>) -> Self {
        Self::Transient(Failure::new(reason, message))
    }
}

impl From<Failure> for Error {
    /// A receiver that is full or asks for patience is rate-limiting; other failures are classed
    /// by their reason.
    fn from(failure: Failure) -> Self {
        match failure.reason {
            Reason::RateLimited | Reason::Backlog => {
                let retry_after = failure.retry_after.unwrap_or(RETRY_AFTER_DEFAULT);
                Self::RateLimited { failure, retry_after }
            }
            _ if failure.is_transient() => Self::Transient(failure),
            _ => Self::Permanent(failure),
        }
    }
}

impl From<sqlx::Error> for Error {
    /// A database that is away is no fault of the job's; a refused statement is an internal error,
    /// and is tried again as a deployment may mend it. One that takes too long is the job's own: it
    /// would take as long again.
    fn from(error: sqlx::Error) -> Self {
        let passes = database::is_transient(&error) && !is_statement_timeout(&error);
        let failure = database::failure(error);
        if passes { Self::Database(failure) } else { Self::Transient(failure) }
    }
}

/// Whether Postgres ended the statement as it took longer than it may.
pub(crate) fn is_statement_timeout(error: &sqlx::Error) -> bool {
    const QUERY_CANCELED: &str = "57014";
    let error = error.as_database_error();
    error.is_some_and(|error| error.code().is_some_and(|code| code == QUERY_CANCELED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_classed_by_their_reason() {
        let class = |reason| match Error::from(Failure::new(reason, "x")) {
            Error::Permanent(_) => "permanent",
            Error::Transient(_) => "transient",
            Error::RateLimited { retry_after, .. } if retry_after == RETRY_AFTER_DEFAULT => "later",
            other => panic!("{other:?}"),
        };
        assert_eq!(class(Reason::NotAFeed), "permanent");
        assert_eq!(class(Reason::Unavailable), "transient");
        assert_eq!(class(Reason::Internal), "transient");
        assert_eq!(class(Reason::RateLimited), "later");
        assert_eq!(class(Reason::Backlog), "later");
    }

    #[test]
    fn a_receiver_says_when_to_come_back() {
        let failure = Failure::new(Reason::Backlog, "x").retry_after(Duration::from_secs(7));
        let Error::RateLimited { retry_after, .. } = Error::from(failure) else {
            panic!("a backlog is a limit")
        };
        assert_eq!(retry_after, Duration::from_secs(7));
    }

    #[test]
    fn an_absent_database_costs_no_attempt_and_a_wrong_statement_does() {
        assert!(matches!(Error::from(sqlx::Error::PoolTimedOut), Error::Database(_)));
        assert!(matches!(Error::from(sqlx::Error::RowNotFound), Error::Transient(_)));
    }
}
