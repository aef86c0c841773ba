//! A worker takes the best row of a kind.

use std::time::Duration;

use chrono::{DateTime, Utc};
use proto::{JobId, ProjectId};
use sqlx::PgPool;
use uuid::Uuid;

use super::milliseconds;
use crate::claim::Lane;

/// What a worker needs of the row that it claimed.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Claimed {
    pub(crate) id: JobId,
    pub(crate) kind: String,
    pub(crate) payload: String,
    pub(crate) attempt: i32,
    /// Failures in a row before this claim that cost no attempt.
    pub(crate) deferrals: i32,
    pub(crate) priority: i16,
    pub(crate) project_id: Option<ProjectId>,
    pub(crate) group_id: Option<Uuid>,
    pub(crate) due_at: DateTime<Utc>,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) cursor: Option<String>,
    pub(crate) progress_done: Option<i64>,
    pub(crate) traceparent: Option<String>,
}

/// Who claims: the token that fences everything it does, and how long it may be silent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claimant {
    pub(crate) worker: Uuid,
    pub(crate) token: Uuid,
    pub(crate) lease: Duration,
}

macro_rules! claim {
    ($best:literal) => {
        concat!(
            "WITH best AS (",
            $best,
            "), claimed AS (
                UPDATE jobs.job AS job
                SET state = 'running', lease_token = $1, worker = $2, started_at = now(),
                    lease_until = now() + $3 * interval '1 millisecond',
                    claims = claims + 1, attempt = attempt + 1
                FROM best WHERE job.id = best.id
                RETURNING job.*
            ), logged AS (
                INSERT INTO jobs.attempt (job_id, number, worker)
                SELECT id, claims, worker FROM claimed
            )
            SELECT id, kind, payload::text, attempt, deferrals, priority, project_id, group_id, due_at,
                   started_at, expires_at, cursor::text, progress_done, traceparent
            FROM claimed"
        )
    };
}

const BEST: &str = claim!(
    "SELECT id FROM jobs.job
     WHERE kind = $4 AND state = 'queued' AND crashes = 0 AND due_at <= now()
       AND priority BETWEEN $5 AND $6
       AND NOT EXISTS (SELECT FROM jobs.kind WHERE kind = $4 AND paused)
     ORDER BY rank, due_at LIMIT 1 FOR UPDATE SKIP LOCKED"
);

const SUSPECT: &str = claim!(
    "SELECT id FROM jobs.job
     WHERE kind = ANY($4) AND state = 'queued' AND crashes > 0 AND due_at <= now()
       AND NOT EXISTS (SELECT FROM jobs.kind WHERE kind.kind = job.kind AND paused)
     ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED"
);

/// Claims the best job of `kind` in `lane`.
pub(crate) async fn best(
    pool: &PgPool,
    claimant: Claimant,
    kind: &str,
    lane: Lane,
) -> Result<Option<Claimed>, sqlx::Error> {
    let (from, to) = lane.priorities();
    sqlx::query_as(BEST)
        .bind(claimant.token)
        .bind(claimant.worker)
        .bind(milliseconds(claimant.lease))
        .bind(kind)
        .bind(i16::from(from))
        .bind(i16::from(to))
        .fetch_optional(pool)
        .await
}

/// Whether a job that once took its worker down waits to be run alone.
pub(crate) async fn suspect_waits(pool: &PgPool, kinds: &[String]) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM jobs.job
         WHERE kind = ANY($1) AND state = 'queued' AND crashes > 0 AND due_at <= now()
           AND NOT EXISTS (SELECT FROM jobs.kind WHERE kind.kind = job.kind AND paused))",
    )
    .bind(kinds)
    .fetch_one(pool)
    .await
}

/// Claims the suspect that has waited longest.
pub(crate) async fn suspect(
    pool: &PgPool,
    claimant: Claimant,
    kinds: &[String],
) -> Result<Option<Claimed>, sqlx::Error> {
    sqlx::query_as(SUSPECT)
        .bind(claimant.token)
        .bind(claimant.worker)
        .bind(milliseconds(claimant.lease))
        .bind(kinds)
        .fetch_optional(pool)
        .await
}

/// Gives back what a claim may have taken whose answer never came.
pub(crate) async fn give_back(pool: &PgPool, token: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH given AS (
             UPDATE jobs.job
             SET state = CASE WHEN cancel_requested AND NOT rerun THEN 'cancelled'
                              ELSE 'queued' END,
                 finished_at = CASE WHEN cancel_requested AND NOT rerun THEN now() END,
                 lease_token = NULL, lease_until = NULL, dispatched_at = NULL,
                 cancel_requested = false, attempt = greatest(attempt - 1, 0)
             WHERE state = 'running' AND lease_token = $1
             RETURNING id, claims)
         UPDATE jobs.attempt SET finished_at = now(), outcome = 'handed_back'
         FROM given WHERE job_id = given.id AND number = given.claims",
    )
    .bind(token)
    .execute(pool)
    .await
    .map(drop)
}
