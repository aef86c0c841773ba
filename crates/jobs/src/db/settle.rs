//! How a claimed job leaves its worker; every statement is fenced by the token.

use std::time::Duration;

use proto::JobId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::milliseconds;

/// What every end has in common: the lease and the wish to cancel go, the attempt is closed, those
/// beyond the newest fifty are dropped, and a row that is due at once is announced. `$1` is the job,
/// `$2` the token, `$3` the attempt's outcome, `$4` its error.
macro_rules! settle {
    ($set:literal) => {
        concat!(
            "WITH ended AS (UPDATE jobs.job SET ",
            $set,
            ", lease_token = NULL, lease_until = NULL, dispatched_at = NULL,
             cancel_requested = false
             WHERE id = $1 AND lease_token = $2 AND state = 'running'
             RETURNING id, kind, priority, claims, state, due_at
            ), closed AS (
                UPDATE jobs.attempt SET finished_at = now(), outcome = $3, error = $4
                FROM ended WHERE job_id = ended.id AND number = ended.claims
            ), dropped AS (
                DELETE FROM jobs.attempt USING ended
                WHERE job_id = ended.id AND number <= ended.claims - 50
            )
            SELECT state, CASE WHEN state = 'queued' AND due_at <= now()
                THEN pg_notify('jobs', 'due ' || kind || ' ' || priority) END::text FROM ended"
        )
    };
}

const COMPLETE: &str = settle!(
    "state = CASE WHEN rerun THEN 'queued' ELSE 'done' END,
     finished_at = CASE WHEN rerun THEN NULL ELSE now() END,
     due_at = CASE WHEN rerun THEN now() ELSE due_at END,
     cursor = NULL, progress_done = CASE WHEN rerun THEN NULL ELSE progress_done END,
     rerun = false, attempt = CASE WHEN rerun THEN 0 ELSE attempt END, crashes = 0,
     deferrals = 0, last_error = NULL"
);

const REQUEUE: &str = settle!(
    "state = CASE WHEN cancel_requested AND NOT rerun THEN 'cancelled' ELSE 'queued' END,
     finished_at = CASE WHEN cancel_requested AND NOT rerun THEN now() END,
     due_at = now() + $5 * interval '1 millisecond',
     attempt = CASE WHEN $6 THEN attempt ELSE greatest(attempt - 1, 0) END,
     deferrals = CASE WHEN $6 OR $4 IS NULL THEN 0 ELSE deferrals + 1 END,
     crashes = 0, last_error = $4"
);

/// A key that was enqueued meanwhile deserves a run of its own: its payload is newer than the one
/// that failed.
const BURY: &str = settle!(
    "state = CASE WHEN rerun THEN 'queued' ELSE 'dead' END,
     finished_at = CASE WHEN rerun THEN NULL ELSE now() END,
     due_at = CASE WHEN rerun THEN now() ELSE due_at END,
     cursor = CASE WHEN rerun THEN NULL ELSE cursor END,
     attempt = CASE WHEN rerun THEN 0 ELSE attempt END,
     deferrals = 0, error_signature = $5, last_error = $4, rerun = false"
);

/// As for a death: what was enqueued after the wish to cancel is run.
const CANCEL: &str = settle!(
    "state = CASE WHEN rerun THEN 'queued' ELSE 'cancelled' END,
     finished_at = CASE WHEN rerun THEN NULL ELSE now() END,
     due_at = CASE WHEN rerun THEN now() ELSE due_at END,
     cursor = CASE WHEN rerun THEN NULL ELSE cursor END,
     attempt = CASE WHEN rerun THEN 0 ELSE attempt END,
     deferrals = 0, last_error = $4, rerun = false"
);

/// The state that the row is in now; none when the lease was lost before.
type Ended = Option<(String, Option<String>)>;

/// Done, or queued once more when its key was enqueued meanwhile. False when the lease is lost.
pub(crate) async fn complete(
    connection: &mut PgConnection,
    id: JobId,
    token: Uuid,
) -> Result<bool, sqlx::Error> {
    let ended: Ended = sqlx::query_as(COMPLETE)
        .bind(id)
        .bind(token)
        .bind("done")
        .bind(None::<String>)
        .fetch_optional(connection)
        .await?;
    Ok(ended.is_some())
}

/// How a job goes back to the queue.
pub(crate) struct Requeue<'a> {
    pub(crate) outcome: &'static str,
    pub(crate) error: Option<&'a str>,
    pub(crate) after: Duration,
    pub(crate) charged: bool,
}

pub(crate) async fn requeue(
    connection: &mut PgConnection,
    id: JobId,
    token: Uuid,
    how: &Requeue<'_>,
) -> Result<bool, sqlx::Error> {
    let ended: Ended = sqlx::query_as(REQUEUE)
        .bind(id)
        .bind(token)
        .bind(how.outcome)
        .bind(how.error)
        .bind(milliseconds(how.after))
        .bind(how.charged)
        .fetch_optional(connection)
        .await?;
    Ok(ended.is_some())
}

/// The state afterwards: `dead`, or `queued` when the key was enqueued meanwhile.
pub(crate) async fn bury(
    connection: &mut PgConnection,
    id: JobId,
    token: Uuid,
    (outcome, error, signature): (&'static str, &str, &str),
) -> Result<Option<String>, sqlx::Error> {
    let ended: Ended = sqlx::query_as(BURY)
        .bind(id)
        .bind(token)
        .bind(outcome)
        .bind(error)
        .bind(signature)
        .fetch_optional(connection)
        .await?;
    Ok(ended.map(|(state, _)| state))
}

pub(crate) async fn cancel(
    connection: &mut PgConnection,
    id: JobId,
    token: Uuid,
) -> Result<bool, sqlx::Error> {
    let ended: Ended = sqlx::query_as(CANCEL)
        .bind(id)
        .bind(token)
        .bind("cancelled")
        .bind(Some("cancelled by a person"))
        .fetch_optional(connection)
        .await?;
    Ok(ended.is_some())
}
