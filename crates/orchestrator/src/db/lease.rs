//! Table `lease`.

use std::time::Duration;

use sqlx::PgPool;
use uuid::Uuid;

/// Serialises who takes a lease, over all daemons.
const LOCK: i64 = 0x6f72_6368_6c65_6173;

/// What came of asking for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It is ours.
    Ours,
    /// Another orchestrator of the same daemon has it.
    Another,
    /// An orchestrator keeps the stacks on this other daemon.
    Elsewhere(String),
}

/// Takes or renews the lease of a daemon for `ttl`. The stacks of a database are on one daemon, so
/// that there is no lease while another daemon's is held.
///
/// # Errors
/// Of the database.
pub async fn take(pool: &PgPool, daemon: &str, holder: Uuid, ttl: Duration) -> sqlx::Result<Claim> {
    let mut tx = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *tx).await?;
    let elsewhere: Option<String> = sqlx::query_scalar(
        "SELECT daemon FROM orchestrator.lease
         WHERE daemon <> $1 AND holder <> $2 AND expires_at >= clock_timestamp() LIMIT 1",
    )
    .bind(daemon)
    .bind(holder)
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(other) = elsewhere {
        return Ok(Claim::Elsewhere(other));
    }
    let taken = sqlx::query(
        "INSERT INTO orchestrator.lease (daemon, holder, expires_at)
         VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
         ON CONFLICT (daemon) DO UPDATE
             SET holder = excluded.holder, expires_at = excluded.expires_at
             WHERE lease.holder = excluded.holder OR lease.expires_at < clock_timestamp()",
    )
    .bind(daemon)
    .bind(holder)
    .bind(ttl.as_secs_f64())
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(if taken.rows_affected() == 1 { Claim::Ours } else { Claim::Another })
}

/// Gives the lease back, so that another need not wait.
///
/// # Errors
/// Of the database.
pub async fn release(pool: &PgPool, holder: Uuid) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM orchestrator.lease WHERE holder = $1")
        .bind(holder)
        .execute(pool)
        .await
        .map(drop)
}
