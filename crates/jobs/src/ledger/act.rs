//! What people do to single jobs and to kinds.

use proto::{Failure, JobId, Reason};
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::{Record, get, record};

/// Queues a dead or cancelled job again, its attempts kept and its cursor too; one that waits for
/// its due time is due now.
///
/// # Errors
/// `NOT_FOUND`; `CONFLICT` when it runs or is done, or when a newer job with its key is at work.
pub async fn retry(pool: &PgPool, id: JobId) -> Result<Record, Failure> {
    let retried: Result<Option<Record>, sqlx::Error> = sqlx::query_as(concat!(
        "WITH retried AS (
             UPDATE jobs.job
             SET state = 'queued', attempt = 0, crashes = 0, due_at = now(), finished_at = NULL,
                 dispatched_at = NULL, cancel_requested = false, error_signature = NULL,
                 deferrals = 0,
                 expires_at = greatest(expires_at, now() + coalesce(
                     expires_s * interval '1 second', expires_at - created_at))
             WHERE id = $1 AND state IN ('dead', 'cancelled', 'queued')
             RETURNING *)
         SELECT ",
        record!(),
        ", pg_notify('jobs', 'due ' || kind || ' ' || priority)::text FROM retried",
    ))
    .bind(id)
    .fetch_optional(pool)
    .await;
    match retried {
        Ok(Some(record)) => Ok(record),
        Ok(None) => {
            let (record, _) = get(pool, id).await?;
            Err(conflict(&record, "retried: only a dead, cancelled or waiting job can be"))
        }
        Err(error) if is_unique_violation(&error) => {
            let (record, _) = get(pool, id).await?;
            Err(conflict(&record, "retried, as a newer job for the same thing is at work"))
        }
        Err(error) => Err(database::failure(error)),
    }
}

/// Ends a job: at once when it waits, within moments when it runs. A run that its key asked for
/// meanwhile ends with it; one that is asked for later does not.
///
/// # Errors
/// `NOT_FOUND`; `CONFLICT` when it has ended.
pub async fn cancel(pool: &PgPool, id: JobId) -> Result<Record, Failure> {
    let cancelled: Option<Record> = sqlx::query_as(concat!(
        "WITH cancelled AS (
             UPDATE jobs.job
             SET state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
                 finished_at = CASE WHEN state = 'queued' THEN now() END,
                 cancel_requested = state = 'running', rerun = false
             WHERE id = $1 AND state IN ('queued', 'running')
             RETURNING *)
         SELECT ",
        record!(),
        ", pg_notify('jobs', 'cancel ' || id)::text FROM cancelled",
    ))
    .bind(id)
    .fetch_optional(pool)
    .await
    .map_err(database::failure)?;
    match cancelled {
        Some(record) => Ok(record),
        None => Err(conflict(&get(pool, id).await?.0, "cancelled any more")),
    }
}

/// Ends every unfinished job of a group but those of the kind `but`, in the caller's transaction,
/// and says how many it was: those that wait at once, those that run within moments.
///
/// # Errors
/// When the database refuses or is away.
pub async fn cancel_group(
    executor: impl PgExecutor<'_>,
    group: Uuid,
    but: &str,
) -> Result<u64, sqlx::Error> {
    let cancelled: i64 = sqlx::query_scalar(
        "WITH cancelled AS (
             UPDATE jobs.job
             SET state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
                 finished_at = CASE WHEN state = 'queued' THEN now() END,
                 cancel_requested = state = 'running', rerun = false
             WHERE group_id = $1 AND kind <> $2 AND state IN ('queued', 'running')
             RETURNING id, state),
         told AS (SELECT pg_notify('jobs', 'cancel ' || id) FROM cancelled WHERE state = 'running')
         SELECT (SELECT count(*) FROM cancelled) + 0 * (SELECT count(*) FROM told)",
    )
    .bind(group)
    .bind(but)
    .fetch_one(executor)
    .await?;
    Ok(cancelled.unsigned_abs())
}

const PAUSE: &str = "UPDATE jobs.kind SET paused = true WHERE kind = $1";

/// What waited meanwhile has all its time again: none of it was the job's own.
const RESUME: &str = "
WITH rested AS (
    UPDATE jobs.job SET expires_at = greatest(expires_at, now() + coalesce(
        expires_s * interval '1 second', expires_at - created_at))
    WHERE kind = $1 AND state = 'queued'
      AND EXISTS (SELECT FROM jobs.kind WHERE kind = $1 AND paused)
)
UPDATE jobs.kind SET paused = false WHERE kind = $1";

/// Lets a kind rest: nothing of it is dispatched or claimed, or expires, until [`resume_kind`].
///
/// # Errors
/// `NOT_FOUND` when no worker ever registered it, or what the database said.
pub async fn pause_kind(executor: impl PgExecutor<'_>, kind: &str) -> Result<(), Failure> {
    set_paused(executor, kind, PAUSE).await
}

/// Ends the rest of a kind; what waited expires as if it were enqueued now.
///
/// # Errors
/// As [`pause_kind`].
pub async fn resume_kind(executor: impl PgExecutor<'_>, kind: &str) -> Result<(), Failure> {
    set_paused(executor, kind, RESUME).await
}

async fn set_paused(
    executor: impl PgExecutor<'_>,
    kind: &str,
    statement: &'static str,
) -> Result<(), Failure> {
    let updated =
        sqlx::query(statement).bind(kind).execute(executor).await.map_err(database::failure)?;
    if updated.rows_affected() == 1 {
        return Ok(());
    }
    Err(Failure::not_found("kind of job", kind))
}

fn conflict(record: &Record, what: &str) -> Failure {
    Failure::new(
        Reason::Conflict,
        format!("job {} is {} and cannot be {what}", record.id, record.state),
    )
    .fact("state", record.state)
}

pub(super) fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}
