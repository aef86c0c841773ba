//! What every replica does beside running jobs: fire schedules, relay facts, sweep, measure.

use std::sync::Arc;
use std::time::Duration;

use chassis::Shutdown;
use tokio::time::sleep;

use super::Core;
use crate::{metrics as names, outbox, retention, schedule};

/// Schedules are looked at this often.
const SCHEDULE_INTERVAL: Duration = Duration::from_millis(500);

/// Facts that nobody announced are looked for this often, and so is another stream.
const RELAY_INTERVAL: Duration = Duration::from_secs(2);

/// Gauges are read from the ledger this often.
const GAUGE_INTERVAL: Duration = Duration::from_secs(10);

/// One round of the sweep may take this long.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) async fn schedules(core: Arc<Core>, stop: Shutdown) -> anyhow::Result<()> {
    let kinds = core.kind_names();
    loop {
        match core.within(schedule::fire_due(&core.pool, &kinds)).await {
            Ok(0) => {}
            Ok(fired) => tracing::debug!(fired, "schedules fired"),
            Err(error) => tracing::warn!(error = %error, "schedules could not be looked at"),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = sleep(SCHEDULE_INTERVAL) => {}
        }
    }
}

pub(super) async fn relay(core: Arc<Core>, stop: Shutdown) -> anyhow::Result<()> {
    loop {
        if let Err(error) = relay_all(&core, &stop).await {
            tracing::warn!(error = %error, "facts could not be relayed");
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = core.outbox.notified() => {}
            () = sleep(RELAY_INTERVAL) => {}
        }
    }
}

async fn relay_all(core: &Core, stop: &Shutdown) -> Result<(), sqlx::Error> {
    let patience = core.config.answer_timeout();
    while !stop.is_cancelled() && outbox::relay(&core.pool, &core.bus, patience).await? > 0 {}
    Ok(())
}

pub(super) async fn sweep(core: Arc<Core>, stop: Shutdown) -> anyhow::Result<()> {
    let kinds = core.kind_names();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = sleep(Duration::from_millis(core.config.retention_ms)) => {}
        }
        let swept = retention::sweep(&core.pool, &kinds);
        match tokio::time::timeout(SWEEP_TIMEOUT, swept).await {
            Ok(Ok(0)) => {}
            Ok(Ok(removed)) => tracing::info!(removed, "rows past their retention were removed"),
            Ok(Err(error)) => tracing::warn!(error = %error, "the sweep failed"),
            Err(_) => tracing::warn!("the sweep took too long; the next round goes on"),
        }
    }
}

pub(super) async fn gauge(core: Arc<Core>, stop: Shutdown) -> anyhow::Result<()> {
    loop {
        if let Err(error) = core.within(measure(&core)).await {
            tracing::debug!(error = %error, "the ledger could not be measured");
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = sleep(GAUGE_INTERVAL) => {}
        }
    }
}

async fn measure(core: &Core) -> Result<(), sqlx::Error> {
    let rows: Vec<(String, i64, i64, i64, f64)> = sqlx::query_as(
        "SELECT kind.kind,
                count(*) FILTER (WHERE state = 'queued'),
                count(*) FILTER (WHERE state = 'running'),
                count(*) FILTER (WHERE state = 'dead'),
                coalesce(extract(epoch FROM now() - min(due_at)
                    FILTER (WHERE state = 'queued' AND due_at <= now())), 0)::double precision
         FROM jobs.kind LEFT JOIN jobs.job
             ON job.kind = kind.kind AND state IN ('queued', 'running', 'dead')
         WHERE kind.kind = ANY($1) GROUP BY kind.kind",
    )
    .bind(core.kind_names())
    .fetch_all(&core.pool)
    .await?;
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    for (kind, queued, running, dead, oldest_s) in rows {
        for (state, n) in [("queued", queued), ("running", running), ("dead", dead)] {
            metrics::gauge!(
                names::IN_STATE, names::TASK_TYPE => kind.clone(), names::STATE => state
            )
            .set(n as f64);
        }
        metrics::gauge!(names::OLDEST_PENDING_AGE, names::TASK_TYPE => kind).set(oldest_s);
    }
    Ok(())
}
