//! Which rows get a ticket.

use std::time::Duration;

use proto::JobId;
use sqlx::PgPool;
use uuid::Uuid;

use super::milliseconds;

/// Two replicas that look at the same time may together exceed the limit once; the stream bounds
/// what is kept.
const TICKETS: &str = "
WITH best AS (
    SELECT id FROM jobs.job
    WHERE kind = $1 AND state = 'queued' AND crashes = 0 AND due_at <= now()
      AND (dispatched_at IS NULL OR dispatched_at < now() - $2 * interval '1 millisecond')
      AND NOT EXISTS (SELECT FROM jobs.kind WHERE kind = $1 AND paused)
    ORDER BY rank, due_at
    LIMIT greatest(0, $3 - (
        SELECT count(*) FROM jobs.job
        WHERE kind = $1 AND state = 'queued' AND crashes = 0
          AND dispatched_at >= now() - $2 * interval '1 millisecond'))
    FOR UPDATE SKIP LOCKED
)
UPDATE jobs.job AS job SET dispatched_at = now() FROM best WHERE job.id = best.id
RETURNING job.id";

/// Marks the rows of `kind` that get a ticket now.
pub(crate) async fn tickets(
    pool: &PgPool,
    kind: &str,
    redispatch: Duration,
    tickets_max: i64,
) -> Result<Vec<JobId>, sqlx::Error> {
    sqlx::query_scalar::<_, JobId>(TICKETS)
        .bind(kind)
        .bind(milliseconds(redispatch))
        .bind(tickets_max)
        .fetch_all(pool)
        .await
}

/// Forgets all tickets of `kinds`, as those that are out were lost.
pub(crate) async fn forget(pool: &PgPool, kinds: &[String]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE jobs.job SET dispatched_at = NULL
         WHERE kind = ANY($1) AND state = 'queued' AND crashes = 0 AND dispatched_at IS NOT NULL",
    )
    .bind(kinds)
    .execute(pool)
    .await
    .map(drop)
}

/// Forgets the tickets of these jobs, which could not be published.
pub(crate) async fn forget_these(pool: &PgPool, jobs: &[JobId]) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.0).collect();
    sqlx::query("UPDATE jobs.job SET dispatched_at = NULL WHERE id = ANY($1) AND state = 'queued'")
        .bind(ids)
        .execute(pool)
        .await
        .map(drop)
}
