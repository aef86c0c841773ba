//! Table `lease`.

use std::time::Duration;

use sqlx::PgPool;
use uuid::Uuid;

/// Takes or renews the lease of a daemon for `ttl`; `false` when another holds it.
///
/// # Errors
/// Of the database.
pub async fn take(pool: &PgPool, daemon: &str, holder: Uuid, ttl: Duration) -> sqlx::Result<bool> {
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
    .execute(pool)
    .await?;
    Ok(taken.rows_affected() == 1)
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
