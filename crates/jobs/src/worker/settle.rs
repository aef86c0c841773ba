//! Writes down how a run ended, for as long as the lease holds.

use std::time::Duration;

use bus::subject::JOB_DIED;
use proto::events::v1::JobDied;
use proto::{JobId, ProjectId};
use sqlx::PgConnection;
use tokio::time::sleep;
use uuid::Uuid;

use super::Core;
use crate::db;
use crate::db::claim::Claimed;
use crate::db::reap::Crashed;
use crate::db::settle::Requeue;
use crate::error::is_statement_timeout;
use crate::run::Lease;
use crate::verdict::Verdict;
use crate::{metrics as names, outbox, signature};

/// Between two attempts to write, at first and at most.
const RETRY_DELAY: Duration = Duration::from_millis(100);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(2);

/// Writes the verdict. While the database is away it goes on trying, as the work is done and the
/// job is not at fault, until the lease is lost or the drain's patience is over; then the row is
/// found by a reaper.
pub(super) async fn settle(
    core: &Core,
    claimed: &Claimed,
    token: Uuid,
    verdict: Verdict,
    lease: Option<&Lease>,
) {
    let mut delay = RETRY_DELAY;
    loop {
        match core.within(write(core, claimed, token, &verdict)).await {
            Ok(()) => return,
            Err(error) if database::is_transient(&error) || is_statement_timeout(&error) => {
                let id = claimed.id;
                tracing::warn!(job.id = %id, error = %error, "a job's end is not written yet");
            }
            Err(error) => {
                tracing::error!(job.id = %claimed.id, error = %error, "a job's end was refused");
                return;
            }
        }
        let stopped = async {
            match lease {
                Some(lease) => lease.stop.cancelled().await,
                None => core.drain.cancelled().await,
            }
        };
        tokio::select! {
            () = stopped => return,
            () = sleep(delay) => delay = (delay * 2).min(RETRY_DELAY_MAX),
        }
    }
}

async fn write(
    core: &Core,
    claimed: &Claimed,
    token: Uuid,
    verdict: &Verdict,
) -> Result<(), sqlx::Error> {
    let id = claimed.id;
    let held = match verdict {
        Verdict::Nothing => return Ok(()),
        Verdict::Done => db::settle::complete(&mut *core.pool.acquire().await?, id, token).await?,
        Verdict::Requeue { outcome, error, after, charged } => {
            let error = error.as_ref().map(|error| db::text(error, db::ERROR_CHARS_MAX));
            let how =
                Requeue { outcome, error: error.as_deref(), after: *after, charged: *charged };
            count_retry(claimed, &how);
            db::settle::requeue(&mut *core.pool.acquire().await?, id, token, &how).await?
        }
        Verdict::Cancelled => {
            db::settle::cancel(&mut *core.pool.acquire().await?, id, token).await?
        }
        Verdict::Dead { outcome, error } => bury(core, claimed, token, (outcome, error)).await?,
        Verdict::Crashed { error } => crash(core, claimed, token, error).await?,
    };
    if !held {
        tracing::info!(job.id = %id, kind = claimed.kind, "the lease was lost; nothing is written");
    }
    Ok(())
}

fn count_retry(claimed: &Claimed, how: &Requeue<'_>) {
    let Some(error) = how.error else { return };
    tracing::warn!(
        job.id = %claimed.id, kind = claimed.kind, attempt = claimed.attempt, error,
        retry_in_ms = how.after.as_millis(), outcome = how.outcome, "a job is tried again"
    );
    if how.charged {
        metrics::counter!(names::RETRIES, names::TASK_TYPE => claimed.kind.clone()).increment(1);
    }
}

async fn bury(
    core: &Core,
    claimed: &Claimed,
    token: Uuid,
    (outcome, error): (&'static str, &str),
) -> Result<bool, sqlx::Error> {
    let error = db::text(error, db::ERROR_CHARS_MAX);
    let signature = signature::of(&error);
    let mut transaction = core.pool.begin().await?;
    let state =
        db::settle::bury(&mut transaction, claimed.id, token, (outcome, &error, &signature))
            .await?;
    if state.as_deref() == Some("dead") {
        tell_death(&mut transaction, claimed.id, &claimed.kind, claimed.project_id, &error).await?;
    }
    transaction.commit().await?;
    Ok(state.is_some())
}

async fn crash(
    core: &Core,
    claimed: &Claimed,
    token: Uuid,
    error: &str,
) -> Result<bool, sqlx::Error> {
    let error = db::text(error, db::ERROR_CHARS_MAX);
    let signature = signature::of(&error);
    let mut transaction = core.pool.begin().await?;
    let lease = core.config.lease();
    let crashed =
        db::reap::panicked(&mut transaction, claimed.id, token, lease, (&error, &signature))
            .await?;
    if let Some(crashed) = &crashed {
        tell_crash(&mut transaction, crashed, &error).await?;
    }
    transaction.commit().await?;
    core.suspects.notify_one();
    Ok(crashed.is_some())
}

/// Logs and counts a crash, and tells of the death when it was one too many.
pub(super) async fn tell_crash(
    connection: &mut PgConnection,
    crashed: &Crashed,
    error: &str,
) -> Result<(), sqlx::Error> {
    let Crashed { id, kind, project_id, state, crashes } = crashed;
    tracing::warn!(job.id = %id, kind, crashes, error, "a job crashed");
    metrics::counter!(names::CRASHES, names::TASK_TYPE => kind.clone()).increment(1);
    if state == "dead" {
        tell_death(connection, *id, kind, *project_id, error).await?;
    }
    Ok(())
}

/// Logs and counts a death, and states it as a fact in the transaction that makes it one.
pub(super) async fn tell_death(
    connection: &mut PgConnection,
    id: JobId,
    kind: &str,
    project: Option<ProjectId>,
    error: &str,
) -> Result<(), sqlx::Error> {
    tracing::error!(job.id = %id, kind, error, "a job is dead");
    metrics::counter!(names::DEAD_LETTERED, names::TASK_TYPE => kind.to_owned()).increment(1);
    let died = JobDied { job_id: id.to_string(), kind: kind.to_owned(), error: error.to_owned() };
    // A job may die again after a retry: the later death has the greater version.
    let version = crate::observe(&mut *connection).await?;
    outbox::publish(connection, &JOB_DIED.envelope(project, version, &died)).await
}
