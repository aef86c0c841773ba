//! Table `failure`.

use chrono::{DateTime, Utc};
use proto::ProjectId;
use sqlx::PgPool;
use uuid::Uuid;

/// Failures of one service that are kept; a crash loop makes some 300 a day.
const KEPT_MAX: i64 = 200;

/// A failure to keep.
#[derive(Debug, Clone)]
pub struct New<'a> {
    /// Its id, which sorts by time.
    pub id: Uuid,
    /// Whose.
    pub project: ProjectId,
    /// Whose.
    pub service: &'a str,
    /// When.
    pub at: DateTime<Utc>,
    /// See [`Reason::code`](crate::reason::Reason::code).
    pub reason: &'a str,
    /// Encoded.
    pub failure: &'a [u8],
}

/// Keeps a failure, as long as there is a stack; one with the same id is replaced. Of its service,
/// the oldest go.
///
/// # Errors
/// Of the database.
pub async fn store(pool: &PgPool, new: &New<'_>) -> sqlx::Result<()> {
    // The row that is inserted is not seen by what is deleted with it.
    sqlx::query(
        "WITH kept AS (
             INSERT INTO orchestrator.failure (id, project_id, service, at, reason, failure)
             SELECT $1, project_id, $3, $4, $5, $6
             FROM orchestrator.stack WHERE project_id = $2 FOR KEY SHARE
             ON CONFLICT (id) DO UPDATE
                 SET reason = excluded.reason, failure = excluded.failure)
         DELETE FROM orchestrator.failure
         WHERE project_id = $2 AND service = $3 AND id < (
             SELECT id FROM orchestrator.failure WHERE project_id = $2 AND service = $3
             ORDER BY id DESC OFFSET $7 LIMIT 1)",
    )
    .bind(new.id)
    .bind(new.project)
    .bind(new.service)
    .bind(new.at)
    .bind(new.reason)
    .bind(new.failure)
    .bind(KEPT_MAX - 2)
    .execute(pool)
    .await
    .map(drop)
}

/// A project's failures before `before`, encoded, newest first; of one service when it is named.
///
/// # Errors
/// Of the database.
pub async fn page(
    pool: &PgPool,
    project: ProjectId,
    service: Option<&str>,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Vec<u8>>> {
    sqlx::query_scalar(
        "SELECT failure FROM orchestrator.failure
         WHERE project_id = $1 AND ($2::text IS NULL OR service = $2)
           AND ($3::uuid IS NULL OR id < $3)
         ORDER BY id DESC LIMIT $4",
    )
    .bind(project)
    .bind(service)
    .bind(before)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Removes failures from before `before`, at most `limit`; answers how many.
///
/// # Errors
/// Of the database.
pub async fn expire(pool: &PgPool, before: DateTime<Utc>, limit: i64) -> sqlx::Result<u64> {
    let removed = sqlx::query(
        "DELETE FROM orchestrator.failure WHERE id IN (
             SELECT id FROM orchestrator.failure WHERE at < $1 LIMIT $2)",
    )
    .bind(before)
    .bind(limit)
    .execute(pool)
    .await?;
    Ok(removed.rows_affected())
}
