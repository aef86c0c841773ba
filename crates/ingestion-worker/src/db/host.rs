//! Table `host`.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use crate::politeness::{Host, Limits, Turn, turn};

/// Asks for a place at the host, over all workers. The answer is as of the returned time, by the
/// database's clock.
///
/// # Errors
/// Of the database.
pub async fn take(
    pool: &PgPool,
    name: &str,
    limits: Limits,
) -> sqlx::Result<(Turn, DateTime<Utc>)> {
    let mut tx = pool.begin().await?;
    sqlx::query("INSERT INTO ingestion.host (name) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(name)
        .execute(&mut *tx)
        .await?;
    // Postgres' clock is the one that all workers share; after the lock, or it would be stale.
    let (next_at, hold_until, busy_until) = lock(&mut tx, name).await?;
    let now: DateTime<Utc> =
        sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&mut *tx).await?;
    let taken = turn(&Host { next_at, hold_until, busy_until }, limits, now);
    if let Turn::Take { host, .. } = &taken {
        sqlx::query(
            "UPDATE ingestion.host SET next_at = $2, busy_until = $3, used_at = now()
             WHERE name = $1",
        )
        .bind(name)
        .bind(host.next_at)
        .bind(&host.busy_until)
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok((taken, now))
}

type Times = (DateTime<Utc>, DateTime<Utc>, Vec<DateTime<Utc>>);

async fn lock(conn: &mut PgConnection, name: &str) -> sqlx::Result<Times> {
    sqlx::query_as(
        "SELECT greatest(next_at, 'epoch'), greatest(hold_until, 'epoch'), busy_until
         FROM ingestion.host WHERE name = $1 FOR UPDATE",
    )
    .bind(name)
    .fetch_one(conn)
    .await
}

/// Gives a place back.
///
/// # Errors
/// Of the database.
pub async fn release(pool: &PgPool, name: &str, busy_until: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE ingestion.host SET busy_until = array_remove(busy_until, $2) WHERE name = $1",
    )
    .bind(name)
    .bind(busy_until)
    .execute(pool)
    .await
    .map(drop)
}

/// Makes every worker wait for `seconds` before the next request to the host.
///
/// # Errors
/// Of the database.
pub async fn hold(pool: &PgPool, name: &str, seconds: f64) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO ingestion.host (name, hold_until)
         VALUES ($1, now() + make_interval(secs => $2))
         ON CONFLICT (name) DO UPDATE
             SET hold_until = greatest(host.hold_until, excluded.hold_until), used_at = now()",
    )
    .bind(name)
    .bind(seconds)
    .execute(pool)
    .await
    .map(drop)
}

/// Removes up to `limit` hosts that nobody asked for `days`.
///
/// # Errors
/// Of the database.
pub async fn forget_old(pool: &PgPool, days: i32, limit: i64) -> sqlx::Result<u64> {
    let removed = sqlx::query(
        "DELETE FROM ingestion.host WHERE name IN (
             SELECT name FROM ingestion.host
             WHERE used_at < now() - make_interval(days => $1) AND hold_until < now() LIMIT $2)",
    )
    .bind(days)
    .bind(limit)
    .execute(pool)
    .await?;
    Ok(removed.rows_affected())
}
