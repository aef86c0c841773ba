//! A job enters the ledger, or joins the unfinished one with its key.

use chrono::{DateTime, Utc};
use proto::JobId;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::enqueue::{Enqueued, Template};

/// A job that has failed keeps its due time, so that a busy key cannot defeat its own backoff. What
/// comes after a person cancelled the run deserves a run of its own, for which `rerun` is enough: the
/// wish to cancel stays, as its worker may not have heard it yet.
const INSERT: &str = "
WITH job AS (
    INSERT INTO jobs.job AS job
        (id, kind, key, project_id, group_id, subject, payload, priority, due_at, expires_at,
         expires_s, traceparent)
    VALUES ($1, $2, $3, $4, $5, $6, $7::json, $8, coalesce($9, now()),
            greatest(coalesce($9, now()), now()) + $10 * interval '1 second', $10, $11)
    ON CONFLICT (kind, key) WHERE key IS NOT NULL AND state IN ('queued', 'running')
    DO UPDATE SET
        payload = excluded.payload,
        subject = excluded.subject,
        priority = greatest(job.priority, excluded.priority),
        rerun = job.rerun OR job.state = 'running',
        due_at = CASE WHEN job.state = 'queued' AND job.last_error IS NULL
                      THEN least(job.due_at, excluded.due_at) ELSE job.due_at END,
        expires_at = greatest(job.expires_at, excluded.expires_at),
        expires_s = excluded.expires_s
    RETURNING job.id, job.id = $1 AS fresh, job.kind, job.priority, job.due_at
)
SELECT id, fresh,
       CASE WHEN due_at <= now() THEN pg_notify('jobs', 'due ' || kind || ' ' || priority) END::text
FROM job";

pub(crate) async fn insert(
    connection: &mut PgConnection,
    template: &Template,
    due: Option<DateTime<Utc>>,
    traceparent: Option<&str>,
) -> Result<Enqueued, sqlx::Error> {
    let (id, fresh, _) = sqlx::query_as::<_, (JobId, bool, Option<String>)>(INSERT)
        .bind(JobId::generate())
        .bind(&template.kind)
        .bind(&template.key)
        .bind(template.project)
        .bind(template.group)
        .bind(&template.subject)
        .bind(&template.payload)
        .bind(i16::from(template.priority))
        .bind(due)
        .bind(i64::try_from(template.expires_s).unwrap_or(i64::MAX))
        .bind(traceparent)
        .fetch_one(connection)
        .await?;
    Ok(Enqueued { id, fresh })
}

/// The unfinished job with this key, if there is one.
pub(crate) async fn unfinished(
    connection: &mut PgConnection,
    kind: &str,
    key: &str,
) -> Result<Option<JobId>, sqlx::Error> {
    sqlx::query_scalar::<_, Uuid>(
        "SELECT id FROM jobs.job
         WHERE kind = $1 AND key = $2 AND state IN ('queued', 'running')",
    )
    .bind(kind)
    .bind(key)
    .fetch_optional(connection)
    .await
    .map(|id| id.map(JobId))
}
