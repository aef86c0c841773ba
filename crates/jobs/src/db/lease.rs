//! What a worker writes while it holds a lease; every statement is fenced by the token.

use std::time::Duration;

use proto::JobId;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{SUBJECT_CHARS_MAX, milliseconds, text};

/// Rows that a transaction of the job itself has locked are skipped: they live, and waiting for
/// one would delay the heartbeat of all.
const HEARTBEAT: &str = "
WITH held AS (SELECT id, token FROM unnest($1::uuid[], $2::uuid[]) AS held (id, token)),
alive AS (
    SELECT job.lease_token, job.cancel_requested FROM jobs.job JOIN held USING (id)
    WHERE job.state = 'running' AND job.lease_token = held.token
), free AS (
    SELECT job.id FROM jobs.job JOIN held USING (id)
    WHERE job.state = 'running' AND job.lease_token = held.token
    FOR NO KEY UPDATE OF job SKIP LOCKED
), extended AS (
    UPDATE jobs.job SET lease_until = now() + $3 * interval '1 millisecond'
    FROM free WHERE job.id = free.id
)
SELECT lease_token, cancel_requested FROM alive";

/// Extends leases; returns the tokens that still hold, and whether a person asked to cancel.
pub(crate) async fn heartbeat(
    pool: &PgPool,
    ids: &[JobId],
    tokens: &[Uuid],
    lease: Duration,
) -> Result<Vec<(Uuid, bool)>, sqlx::Error> {
    sqlx::query_as(HEARTBEAT)
        .bind(ids.iter().map(|id| id.0).collect::<Vec<_>>())
        .bind(tokens)
        .bind(milliseconds(lease))
        .fetch_all(pool)
        .await
}

/// False when the lease is lost.
pub(crate) async fn save_cursor(
    connection: &mut PgConnection,
    id: JobId,
    token: Uuid,
    cursor: &str,
) -> Result<bool, sqlx::Error> {
    let saved = sqlx::query(
        "UPDATE jobs.job SET cursor = $3::json
         WHERE id = $1 AND lease_token = $2 AND state = 'running'",
    )
    .bind(id)
    .bind(token)
    .bind(cursor)
    .execute(connection)
    .await?;
    Ok(saved.rows_affected() == 1)
}

/// Locks the row until the caller's transaction ends; false when the lease is lost.
pub(crate) async fn hold(
    connection: &mut PgConnection,
    id: JobId,
    token: Uuid,
) -> Result<bool, sqlx::Error> {
    let held = sqlx::query(
        "SELECT FROM jobs.job WHERE id = $1 AND lease_token = $2 AND state = 'running'
         FOR NO KEY UPDATE",
    )
    .bind(id)
    .bind(token)
    .fetch_optional(connection)
    .await?;
    Ok(held.is_some())
}

pub(crate) async fn progress(
    pool: &PgPool,
    id: JobId,
    token: Uuid,
    done: i64,
    total: Option<i64>,
    note: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE jobs.job SET progress_done = $3, progress_total = $4, progress_text = $5
         WHERE id = $1 AND lease_token = $2 AND state = 'running'",
    )
    .bind(id)
    .bind(token)
    .bind(done)
    .bind(total)
    .bind(text(note, SUBJECT_CHARS_MAX))
    .execute(pool)
    .await
    .map(drop)
}
