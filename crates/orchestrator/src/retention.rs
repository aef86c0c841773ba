//! Removes what is past its retention, in bounded batches.

use std::sync::Arc;
use std::time::Duration;

use chassis::Shutdown;
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;

use crate::app::App;
use crate::db;

/// Operations, failures and verdicts about images stay this long.
pub const KEPT: TimeDelta = TimeDelta::days(90);

/// From the start to the first look, and from one look to the next.
const FIRST: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_secs(3_600);

/// Rows of one statement, and statements of one look for each table, at most.
const BATCH_MAX: i64 = 1_000;
const BATCHES_MAX: usize = 100;

/// Sweeps now and then, in the one orchestrator that acts.
pub(crate) async fn run(app: Arc<App>, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut pause = FIRST;
    while !shutdown.is_cancelled() {
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
        pause = INTERVAL;
        if !app.lease.may_change() {
            continue;
        }
        match sweep(&app.pool).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "removed what is past its retention"),
            Err(error) => tracing::warn!(error = %error, "nothing past its retention can go now"),
        }
    }
    Ok(())
}

/// Removes operations, failures and verdicts that are past their retention; answers how many.
///
/// # Errors
/// Of the database; the next look goes on.
pub async fn sweep(pool: &PgPool) -> sqlx::Result<u64> {
    let before = Utc::now() - KEPT;
    let mut removed = 0;
    for _ in 0..BATCHES_MAX {
        let failures = db::within(db::failure::expire(pool, before, BATCH_MAX)).await?;
        let operations = db::within(db::operation::expire(pool, before, BATCH_MAX)).await?;
        let verdicts = db::within(db::verdict::expire(pool, before, BATCH_MAX)).await?;
        removed += failures + operations + verdicts;
        if failures + operations + verdicts == 0 {
            break;
        }
    }
    Ok(removed)
}
