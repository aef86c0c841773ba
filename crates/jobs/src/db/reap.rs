//! Jobs whose worker is gone, and jobs that outlived their usefulness.

use std::time::Duration;

use chrono::{DateTime, Utc};
use proto::{JobId, ProjectId};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::milliseconds;

/// Rows of one round, at most.
const BATCH_MAX: i64 = 100;

/// A crash in company makes a suspect; this many crashes alone after it make a poison.
pub(crate) const CRASHES_ALONE_MAX: i32 = 3;

/// A suspect waits for a share of the lease, 10 s of 60 s, after its first crash alone, twice that
/// after the second …, so that a worker which others kill again and again does not make a poison of
/// an innocent job that happens to run.
const DELAYS_PER_LEASE: u32 = 6;

/// `$1` is the crash's text, `$2` the crashes alone at most, `$3` the delay, `$4` the signature.
macro_rules! crash {
    ($which:literal) => {
        concat!(
            "WITH lost AS (SELECT id, claims FROM jobs.job WHERE state = 'running' AND ",
            $which,
            " FOR UPDATE SKIP LOCKED),
            closed AS (
                UPDATE jobs.attempt SET finished_at = now(), outcome = 'crashed', error = $1
                FROM lost WHERE job_id = lost.id AND number = lost.claims
            )
            UPDATE jobs.job AS job SET
                state = CASE WHEN rerun THEN 'queued' WHEN cancel_requested THEN 'cancelled'
                             WHEN crashes >= $2 THEN 'dead' ELSE 'queued' END,
                finished_at = CASE WHEN NOT rerun AND (cancel_requested OR crashes >= $2)
                                   THEN now() END,
                due_at = now() + crashes * $3 * interval '1 millisecond',
                crashes = CASE WHEN crashes >= $2 AND rerun THEN 1 ELSE crashes + 1 END,
                rerun = rerun AND crashes < $2,
                attempt = greatest(attempt - 1, 0),
                last_error = $1, error_signature = $4,
                lease_token = NULL, lease_until = NULL, dispatched_at = NULL,
                cancel_requested = false
            FROM lost WHERE job.id = lost.id
            RETURNING job.id, job.kind, job.project_id, job.state, job.crashes"
        )
    };
}

const SILENT: &str = crash!(
    "kind = ANY($5) AND lease_until < now()
     AND now() - pg_postmaster_start_time() > $6 * interval '1 millisecond'
     AND now() < $7 + $6 / 4 * interval '1 millisecond'
     LIMIT $8"
);

const PANICKED: &str = crash!("id = $5 AND lease_token = $6");

/// A job that took its worker down, and what it is now.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Crashed {
    pub(crate) id: JobId,
    pub(crate) kind: String,
    pub(crate) project_id: Option<ProjectId>,
    pub(crate) state: String,
    pub(crate) crashes: i32,
}

/// The clock of the database, by which all leases run.
pub(crate) async fn now(pool: &PgPool) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(pool).await
}

/// Takes jobs from workers that were silent for longer than their lease. `asked_at` is the
/// database's clock a moment ago: a statement that lay in a stopped server's socket would find
/// every lease expired, so it does nothing when it runs much later.
pub(crate) async fn silent(
    connection: &mut PgConnection,
    kinds: &[String],
    lease: Duration,
    asked_at: DateTime<Utc>,
    (error, signature): (&str, &str),
) -> Result<Vec<Crashed>, sqlx::Error> {
    sqlx::query_as(SILENT)
        .bind(error)
        .bind(CRASHES_ALONE_MAX)
        .bind(milliseconds(lease / DELAYS_PER_LEASE))
        .bind(signature)
        .bind(kinds)
        .bind(milliseconds(lease))
        .bind(asked_at)
        .bind(BATCH_MAX)
        .fetch_all(connection)
        .await
}

/// Counts a panic as what it is: a crash that happened not to take the process along.
pub(crate) async fn panicked(
    connection: &mut PgConnection,
    id: JobId,
    token: Uuid,
    lease: Duration,
    (error, signature): (&str, &str),
) -> Result<Option<Crashed>, sqlx::Error> {
    sqlx::query_as(PANICKED)
        .bind(error)
        .bind(CRASHES_ALONE_MAX)
        .bind(milliseconds(lease / DELAYS_PER_LEASE))
        .bind(signature)
        .bind(id)
        .bind(token)
        .fetch_optional(connection)
        .await
}

/// Ends jobs that nobody could finish before they expired, but those of a kind that rests; returns
/// them.
pub(crate) async fn expired(
    connection: &mut PgConnection,
    kinds: &[String],
    (error, signature): (&str, &str),
) -> Result<Vec<Crashed>, sqlx::Error> {
    sqlx::query_as(
        "WITH late AS (
            SELECT id FROM jobs.job
            WHERE state = 'queued' AND kind = ANY($1) AND expires_at < now()
              AND NOT EXISTS (SELECT FROM jobs.kind WHERE kind.kind = job.kind AND paused)
            LIMIT $4 FOR UPDATE SKIP LOCKED)
         UPDATE jobs.job AS job
         SET state = 'dead', finished_at = now(), error_signature = $3,
             last_error = $2 || coalesce('; before that: ' || last_error, '')
         FROM late WHERE job.id = late.id
         RETURNING job.id, job.kind, job.project_id, job.state, job.crashes",
    )
    .bind(kinds)
    .bind(error)
    .bind(signature)
    .bind(BATCH_MAX)
    .fetch_all(connection)
    .await
}
