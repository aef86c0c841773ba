//! Removes what is past its retention, in bounded batches.

use std::time::Duration;

use sqlx::PgPool;

use crate::outbox;

/// Rows of one statement, at most.
const BATCH_MAX: i64 = 1_000;

/// Statements of one round per table, at most; the next round goes on.
const ROUNDS_MAX: usize = 100;

const DAY_S: u64 = 24 * 3600;

/// Done and cancelled jobs stay this long.
pub const DONE_KEPT: Duration = Duration::from_secs(3 * DAY_S);
/// Dead jobs stay this long.
pub const DEAD_KEPT: Duration = Duration::from_secs(30 * DAY_S);
/// The record of which tick fired stays this long.
pub const TICKS_KEPT: Duration = Duration::from_secs(7 * DAY_S);

const DONE: &str = "DELETE FROM jobs.job WHERE id IN (
    SELECT id FROM jobs.job WHERE state IN ('done', 'cancelled') AND kind = ANY($3)
      AND finished_at < now() - $1 * interval '1 second' LIMIT $2 FOR UPDATE SKIP LOCKED)";
const DEAD: &str = "DELETE FROM jobs.job WHERE id IN (
    SELECT id FROM jobs.job WHERE state = 'dead' AND kind = ANY($3)
      AND finished_at < now() - $1 * interval '1 second' LIMIT $2 FOR UPDATE SKIP LOCKED)";
const TICKS: &str = "DELETE FROM jobs.schedule_tick WHERE ctid IN (
    SELECT ctid FROM jobs.schedule_tick
    WHERE fired_at < now() - $1 * interval '1 second' LIMIT $2)";
const FACTS: &str = "DELETE FROM jobs.outbox WHERE id IN (
    SELECT id FROM jobs.outbox WHERE sent_at IS NOT NULL
      AND created_at < now() - $1 * interval '1 second' LIMIT $2 FOR UPDATE SKIP LOCKED)";

/// Removes jobs of `kinds`, ticks and facts that are past their retention; returns how many rows.
///
/// # Errors
/// When the database refuses or is away; the next round goes on.
pub async fn sweep(pool: &PgPool, kinds: &[String]) -> Result<u64, sqlx::Error> {
    let mut removed = 0;
    for (statement, kept, kinds) in [
        (DONE, DONE_KEPT, Some(kinds)),
        (DEAD, DEAD_KEPT, Some(kinds)),
        (TICKS, TICKS_KEPT, None),
        (FACTS, outbox::KEPT, None),
    ] {
        for _ in 0..ROUNDS_MAX {
            let query = sqlx::query(statement).bind(kept.as_secs_f64()).bind(BATCH_MAX);
            let query = match kinds {
                Some(kinds) => query.bind(kinds),
                None => query,
            };
            let batch = query.execute(pool).await?.rows_affected();
            removed += batch;
            if batch == 0 {
                break;
            }
        }
    }
    Ok(removed)
}
