//! One run under its limits: time, lease, cancellation, drain.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, info_span};
use uuid::Uuid;

use super::registry::Registered;
use super::{Core, settle};
use crate::db::claim::Claimed;
use crate::error::Error;
use crate::job::Outcome;
use crate::metrics as names;
use crate::run::{Lease, Notes, Run, StopReason};
use crate::verdict::{self, Ended, Situation};

/// How long a run that was told to stop may take to do so.
const STOP_GRACE: Duration = Duration::from_secs(1);

type Task = JoinSet<Result<Outcome, Error>>;

/// Runs a claimed job and writes down how it ended.
pub(super) async fn run(core: &Core, registered: &Registered, claimed: Claimed, token: Uuid) {
    let lease = Arc::new(lease(core, registered, &claimed, token));
    let _held = core.leases.hold(lease.clone());
    let started = Instant::now();
    metrics::histogram!(names::QUEUE_WAIT, names::TASK_TYPE => registered.kind)
        .record(seconds_between(claimed.due_at, claimed.started_at));

    let ended = attempt(registered, &claimed, &lease).await;
    metrics::histogram!(
        names::DURATION, names::TASK_TYPE => registered.kind, names::OUTCOME => label(&ended)
    )
    .record(started.elapsed().as_secs_f64());
    let situation = Situation {
        attempt: u32::try_from(claimed.attempt).unwrap_or_default(),
        deferrals: u32::try_from(claimed.deferrals).unwrap_or_default(),
        policy: registered.retry,
        advanced: lease.advanced.load(Ordering::Relaxed),
        draining: core.drain.is_cancelled(),
        expires_in: expires_in(&claimed).saturating_sub(started.elapsed()),
        random: rand::random(),
    };
    let verdict = verdict::decide(ended, situation);
    settle::settle(core, &claimed, token, verdict, Some(&lease)).await;
}

fn lease(core: &Core, registered: &Registered, claimed: &Claimed, token: Uuid) -> Lease {
    Lease {
        id: claimed.id,
        token,
        pool: core.pool.clone(),
        slice_ends: Instant::now() + Duration::from_millis(registered.limits.slice_ms),
        drain: core.drain.clone(),
        stop: tokio_util::sync::CancellationToken::new(),
        reason: OnceLock::new(),
        notes: Mutex::new(Notes {
            cursor: claimed.cursor.clone(),
            // Without a cursor it begins anew, and so does its count.
            done: claimed.cursor.as_ref().and(claimed.progress_done).unwrap_or_default(),
            written: None,
            advanced_at: Instant::now(),
        }),
        advanced: AtomicBool::new(false),
    }
}

async fn attempt(registered: &Registered, claimed: &Claimed, lease: &Arc<Lease>) -> Ended {
    let run = Run {
        id: claimed.id,
        kind: registered.kind,
        attempt: u32::try_from(claimed.attempt).unwrap_or_default(),
        project: claimed.project_id,
        group: claimed.group_id,
        priority: u8::try_from(claimed.priority).unwrap_or_default(),
        traceparent: claimed.traceparent.clone(),
        lease: lease.clone(),
    };
    let span = info_span!(
        "job", otel.name = registered.kind, job.id = %claimed.id, job.attempt = claimed.attempt
    );
    if let Some(traceparent) = &claimed.traceparent {
        telemetry::propagation::set_parent(&span, traceparent);
    }
    let mut task = Task::new();
    // A task of its own, so that a panic is seen here and takes nothing along.
    task.spawn(registered.run(&claimed.payload, run).instrument(span));
    let limit = Duration::from_millis(registered.limits.run_ms);
    let expires = Instant::now() + expires_in(claimed).max(limit);
    tokio::select! {
        // The stop first: a run that heeds it at once has ended too by now, but not by itself.
        biased;
        () = lease.stop.cancelled() => stopped(&mut task, lease).await,
        joined = task.join_next() => returned(joined),
        () = lease.stalled(limit, expires) => {
            end(&mut task).await;
            Ended::TimedOut(limit)
        }
    }
}

/// The job was told to stop. What it finished nevertheless counts.
async fn stopped(task: &mut Task, lease: &Lease) -> Ended {
    let last = timeout(STOP_GRACE, task.join_next()).await.map(returned);
    let reason = lease.reason.get().copied().unwrap_or(StopReason::LeaseLost);
    match (reason, last) {
        (_, Ok(ended @ Ended::Returned(Ok(Outcome::Done | Outcome::Completed)))) => ended,
        (StopReason::Drain, Ok(ended @ Ended::Returned(Ok(_)))) => ended,
        (reason, last) => {
            if last.is_err() {
                end(task).await;
            }
            match reason {
                StopReason::LeaseLost => Ended::LeaseLost,
                StopReason::Cancelled => Ended::Cancelled,
                StopReason::Drain => Ended::HandedBack,
            }
        }
    }
}

/// Aborts the run. One that never yields to the runtime is left behind, fenced off by its lease.
async fn end(task: &mut Task) {
    if timeout(STOP_GRACE, task.shutdown()).await.is_err() {
        tracing::error!("a run did not stop when it was aborted: it blocks its thread");
    }
}

fn returned(joined: Option<Result<Result<Outcome, Error>, JoinError>>) -> Ended {
    match joined {
        Some(Ok(result)) => Ended::Returned(result),
        Some(Err(error)) if error.is_panic() => {
            let panic = error.into_panic();
            let message = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned());
            Ended::Panicked(message.unwrap_or_else(|| "without a message".to_owned()))
        }
        _ => Ended::HandedBack,
    }
}

/// From the claim on.
fn expires_in(claimed: &Claimed) -> Duration {
    (claimed.expires_at - claimed.started_at).to_std().unwrap_or_default()
}

fn label(ended: &Ended) -> &'static str {
    match ended {
        Ended::Returned(Ok(_)) => "ok",
        Ended::Returned(Err(_)) | Ended::Panicked(_) => "error",
        Ended::TimedOut(_) => "timeout",
        Ended::Cancelled | Ended::HandedBack | Ended::LeaseLost => "cancelled",
    }
}

fn seconds_between(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).as_seconds_f64().max(0.0)
}
