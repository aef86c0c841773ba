//! The tables of the schema `orchestrator`, one module each.

pub mod installation;
pub mod lease;
pub mod operation;
pub mod secret;
pub mod stack;
pub mod subnet;

/// What brings the schema up to date at start.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// How long one statement of the reconciler's own may take before the database counts as away.
const ANSWER_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(3);

/// Waits for an answer, but not for ever: a stopped server keeps its connections open.
///
/// # Errors
/// Of the database, or that it did not answer.
pub async fn within<T>(answer: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    tokio::time::timeout(ANSWER_TIMEOUT, answer)
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}
