//! The ledger's SQL, one file for each thing that happens to a row.

pub(crate) mod claim;
pub(crate) mod dispatch;
pub(crate) mod enqueue;
pub(crate) mod lease;
pub(crate) mod reap;
pub(crate) mod settle;

/// The channel on which the ledger says that something is due: `due KIND PRIORITY`,
/// `cancel JOB`, `outbox`.
pub(crate) const CHANNEL: &str = "jobs";

/// A subject is cut here, in characters.
pub(crate) const SUBJECT_CHARS_MAX: usize = 500;

/// An error's text is cut here, in characters.
pub(crate) const ERROR_CHARS_MAX: usize = 2_000;

/// Text that Postgres takes and people can read: no NUL, at most `chars_max` characters.
pub(crate) fn text(text: &str, chars_max: usize) -> String {
    text.chars().filter(|&c| c != '\0').take(chars_max).collect()
}

/// A duration as Postgres takes it in `$n * interval '1 millisecond'`.
pub(crate) fn milliseconds(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// Waits for an answer, but not for ever: a stopped server keeps its connections open.
pub(crate) async fn within<T>(
    patience: std::time::Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(patience, answer)
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}
