//! Dead letters: grouped by cause, retried or discarded by filter after a count.

use chrono::{DateTime, Utc};
use proto::{Failure, ProjectId, Reason};
use sqlx::{PgExecutor, PgPool};

use super::{Filter, act::is_unique_violation, bind_filter, filtered};

/// Groups shown, at most: those with the most jobs.
const GROUPS_MAX: i64 = 200;

/// Jobs that one call retries or discards, at most; its count says whether to call again.
pub const DEAD_PER_CALL_MAX: i64 = 10_000;

/// Dead jobs of one kind with one cause.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct DeadGroup {
    /// The normalised error.
    pub signature: String,
    /// The kind.
    pub kind: String,
    /// How many.
    pub count: i64,
    /// The newest one's error.
    pub sample: String,
    /// When the first died.
    pub first_seen: DateTime<Utc>,
    /// When the last died.
    pub last_seen: DateTime<Utc>,
}

/// Dead jobs by cause, the largest group first. Only those of `projects`; of all when none.
///
/// # Errors
/// What the database said.
pub async fn dead_groups(
    executor: impl PgExecutor<'_>,
    projects: Option<&[ProjectId]>,
) -> Result<Vec<DeadGroup>, Failure> {
    sqlx::query_as(
        "SELECT coalesce(error_signature, '') AS signature, kind, count(*) AS count,
                coalesce((array_agg(last_error ORDER BY finished_at DESC))[1], '') AS sample,
                min(finished_at) AS first_seen, max(finished_at) AS last_seen
         FROM jobs.job WHERE state = 'dead' AND ($1::uuid[] IS NULL OR project_id = ANY($1))
         GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT $2",
    )
    .bind(projects.map(|ids| ids.iter().map(|id| id.0).collect::<Vec<_>>()))
    .bind(GROUPS_MAX)
    .fetch_all(executor)
    .await
    .map_err(database::failure)
}

/// A dead job whose key is at work again, or that a later dead job of its key replaces, has
/// nothing left to do.
macro_rules! retriable {
    ($before:literal, $after:literal) => {
        concat!(
            filtered!($before, ""),
            "AND job.state = 'dead'
             AND NOT EXISTS (
                 SELECT FROM jobs.job AS other
                 WHERE other.kind = job.kind AND other.key = job.key
                   AND other.state IN ('queued', 'running'))
             AND NOT EXISTS (
                 SELECT FROM jobs.job AS other
                 WHERE other.kind = job.kind AND other.key = job.key
                   AND other.state = 'dead' AND other.id > job.id) ",
            $after
        )
    };
}

const RETRIABLE: &str =
    retriable!("SELECT count(*) FROM (SELECT FROM jobs.job AS job WHERE", "LIMIT $7) AS counted");

const RETRY: &str = retriable!(
    "WITH chosen AS (SELECT job.id FROM jobs.job AS job WHERE",
    "LIMIT $7 FOR UPDATE SKIP LOCKED
     ), retried AS (
         UPDATE jobs.job AS job
         SET state = 'queued', attempt = 0, crashes = 0, due_at = now(), finished_at = NULL,
             dispatched_at = NULL, error_signature = NULL, cancel_requested = false,
             deferrals = 0, expires_at = greatest(expires_at, now() + coalesce(
                 expires_s * interval '1 second', expires_at - created_at))
         FROM chosen WHERE job.id = chosen.id
         RETURNING job.kind, job.priority
     ), told AS (
         SELECT DISTINCT pg_notify('jobs', 'due ' || kind || ' ' || priority)::text FROM retried)
     SELECT (SELECT count(*) FROM retried) + 0 * (SELECT count(*) FROM told)"
);

const DISCARDABLE: &str = filtered!(
    "SELECT count(*) FROM (SELECT FROM jobs.job AS job WHERE",
    "AND job.state = 'dead' LIMIT $7) AS counted"
);

const DISCARD: &str = filtered!(
    "WITH chosen AS (SELECT job.id FROM jobs.job AS job WHERE",
    "AND job.state = 'dead' LIMIT $7 FOR UPDATE SKIP LOCKED
     ), discarded AS (
         UPDATE jobs.job AS job SET state = 'cancelled', finished_at = now()
         FROM chosen WHERE job.id = chosen.id RETURNING job.id)
     SELECT count(*) FROM discarded"
);

/// Queues every dead job that matches once more, each key once, and says how many; `dry_run` only
/// counts.
///
/// # Errors
/// `CONFLICT` when one of their keys is enqueued at the same moment; what the database said.
pub async fn retry_dead(pool: &PgPool, filter: &Filter, dry_run: bool) -> Result<u64, Failure> {
    run(pool, filter, if dry_run { RETRIABLE } else { RETRY }).await
}

/// Gives up every dead job that matches (it becomes cancelled) and says how many; `dry_run` only
/// counts.
///
/// # Errors
/// What the database said.
pub async fn discard_dead(pool: &PgPool, filter: &Filter, dry_run: bool) -> Result<u64, Failure> {
    run(pool, filter, if dry_run { DISCARDABLE } else { DISCARD }).await
}

async fn run(pool: &PgPool, filter: &Filter, statement: &'static str) -> Result<u64, Failure> {
    let query = sqlx::query_scalar::<_, i64>(statement);
    let count = bind_filter!(query, filter).bind(DEAD_PER_CALL_MAX).fetch_one(pool).await.map_err(
        |error| if is_unique_violation(&error) { overtaken() } else { database::failure(error) },
    )?;
    Ok(count.unsigned_abs())
}

fn overtaken() -> Failure {
    Failure::new(
        Reason::Conflict,
        "nothing was retried, as a newer job for one of the same things came at the same moment; \
         try again",
    )
}
