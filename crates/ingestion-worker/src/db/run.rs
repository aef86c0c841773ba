//! Table `run`.

use chrono::{DateTime, Utc};
use proto::{JobId, RunId, SourceId};
use sqlx::{FromRow, PgConnection, PgPool};

/// What a run whose worker died says.
const INTERRUPTED: &str = "the worker stopped before the run ended; another attempt follows";

/// What a run says whose job was cancelled or expired before the run began.
const NEVER_STARTED: &str = "its job ended before the run began; a later run takes its place";

/// One attempt to look at a source.
#[derive(Debug, Clone, FromRow)]
pub struct Run {
    /// Its public id.
    pub id: RunId,
    /// The fetch job.
    pub job_id: JobId,
    /// `queued`, `running`, `done` or `failed`.
    pub state: String,
    /// When it started, or was asked for while it is queued.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Entries that the source showed.
    pub found: i32,
    /// Of these, new ones that were stored.
    pub created: i32,
    /// Edited ones.
    pub revised: i32,
    /// Known, repeated and too old ones.
    pub unchanged: i32,
    /// The site said that nothing changed, without a body.
    pub not_modified: bool,
    /// Why it failed.
    pub error: String,
}

/// What a good run found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries that the source showed.
    pub found: u32,
    /// New ones.
    pub created: u32,
    /// Edited ones.
    pub revised: u32,
    /// The others.
    pub unchanged: u32,
    /// The site said that nothing changed.
    pub not_modified: bool,
}

/// Records that a person asked for a run. A job that waits makes one run, however often it is asked
/// for; the caller holds the source's lock.
///
/// # Errors
/// Of the database.
pub async fn queue(conn: &mut PgConnection, source: SourceId, job: JobId) -> sqlx::Result<RunId> {
    sqlx::query_scalar(
        "WITH waiting AS (
             SELECT id FROM ingestion.run
             WHERE source_id = $2 AND job_id = $3 AND state = 'queued' ORDER BY id LIMIT 1),
         made AS (
             INSERT INTO ingestion.run (id, source_id, job_id, state)
             SELECT $1, $2, $3, 'queued' WHERE NOT EXISTS (SELECT FROM waiting)
             RETURNING id)
         SELECT id FROM waiting UNION ALL SELECT id FROM made",
    )
    .bind(RunId::generate())
    .bind(source)
    .bind(job)
    .fetch_one(conn)
    .await
}

/// Starts a run: the one that a person asked for, if any waits, else one of its own. Runs that a
/// dead worker left behind end here.
///
/// # Errors
/// Of the database; [`sqlx::Error::RowNotFound`] when the source is gone.
pub async fn start(conn: &mut PgConnection, source: SourceId, job: JobId) -> sqlx::Result<RunId> {
    sqlx::query(
        "UPDATE ingestion.run SET state = 'failed', finished_at = now(),
             error = CASE state WHEN 'running' THEN $3 ELSE $4 END
         WHERE source_id = $1 AND (state = 'running' OR state = 'queued' AND job_id <> $2)",
    )
    .bind(source)
    .bind(job)
    .bind(INTERRUPTED)
    .bind(NEVER_STARTED)
    .execute(&mut *conn)
    .await?;
    let asked: Option<RunId> = sqlx::query_scalar(
        "UPDATE ingestion.run SET state = 'running', started_at = now()
         WHERE id = (SELECT id FROM ingestion.run
                     WHERE source_id = $1 AND job_id = $2 AND state = 'queued'
                     ORDER BY id LIMIT 1)
         RETURNING id",
    )
    .bind(source)
    .bind(job)
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(id) = asked {
        return Ok(id);
    }
    sqlx::query_scalar(
        "INSERT INTO ingestion.run (id, source_id, job_id, state)
         SELECT $1, id, $3, 'running' FROM ingestion.source WHERE id = $2
         RETURNING id",
    )
    .bind(RunId::generate())
    .bind(source)
    .bind(job)
    .fetch_one(conn)
    .await
}

/// Ends a good run.
///
/// # Errors
/// Of the database.
pub async fn done(conn: &mut PgConnection, id: RunId, counts: Counts) -> sqlx::Result<()> {
    let signed = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    sqlx::query(
        "UPDATE ingestion.run SET state = 'done', finished_at = now(), found = $2, created = $3,
             revised = $4, unchanged = $5, not_modified = $6
         WHERE id = $1",
    )
    .bind(id)
    .bind(signed(counts.found))
    .bind(signed(counts.created))
    .bind(signed(counts.revised))
    .bind(signed(counts.unchanged))
    .bind(counts.not_modified)
    .execute(conn)
    .await
    .map(drop)
}

/// Ends a failed run; false when another attempt ended it already.
///
/// # Errors
/// Of the database.
pub async fn failed(conn: &mut PgConnection, id: RunId, error: &str) -> sqlx::Result<bool> {
    let ended = sqlx::query(
        "UPDATE ingestion.run SET state = 'failed', finished_at = now(), error = $2
         WHERE id = $1 AND state = 'running'",
    )
    .bind(id)
    .bind(error)
    .execute(conn)
    .await?;
    Ok(ended.rows_affected() > 0)
}

/// The newest runs of a source.
///
/// # Errors
/// Of the database.
pub async fn newest(pool: &PgPool, source: SourceId, limit: i64) -> sqlx::Result<Vec<Run>> {
    sqlx::query_as(
        "SELECT id, job_id, state, started_at, finished_at, found, created, revised, unchanged,
                not_modified, error
         FROM ingestion.run WHERE source_id = $1 ORDER BY id DESC LIMIT $2",
    )
    .bind(source)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Removes up to `limit` runs older than `days`, and says how many.
///
/// # Errors
/// Of the database.
pub async fn forget_old(pool: &PgPool, days: i32, limit: i64) -> sqlx::Result<u64> {
    let removed = sqlx::query(
        "DELETE FROM ingestion.run WHERE id IN (
             SELECT id FROM ingestion.run
             WHERE started_at < now() - make_interval(days => $1) LIMIT $2)",
    )
    .bind(days)
    .bind(limit)
    .execute(pool)
    .await?;
    Ok(removed.rows_affected())
}
