//! `hub.session`.

use chrono::{DateTime, Utc};
use database::failure;
use proto::{Failure, UserId};
use sqlx::{FromRow, PgExecutor};
use uuid::Uuid;

/// A live session with its user.
#[derive(Debug, FromRow)]
pub(crate) struct Row {
    pub(crate) user_id: UserId,
    pub(crate) csrf: String,
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) all_projects: bool,
    pub(crate) projects: Vec<Uuid>,
}

/// A session to add.
pub(crate) struct NewSession<'a> {
    pub(crate) hash: &'a [u8],
    pub(crate) user: UserId,
    pub(crate) csrf: &'a str,
    pub(crate) expires_at: DateTime<Utc>,
    /// Hours without use after which it ends before that.
    pub(crate) idle_h: u32,
}

/// The session whose cookie has this hash, unless it has ended. Using it puts off its idle end by
/// `idle_h` hours from now, written at most once a minute.
pub(crate) async fn find(
    db: impl PgExecutor<'_>,
    hash: &[u8],
    idle_h: u32,
) -> Result<Option<Row>, Failure> {
    sqlx::query_as(
        "WITH used AS (
             UPDATE hub.session SET idle_at = now() + make_interval(hours => $2)
             WHERE token_hash = $1 AND expires_at > now() AND idle_at > now()
               AND idle_at < now() + make_interval(hours => $2) - interval '1 minute')
         SELECT s.user_id, s.csrf, u.name, u.role, u.all_projects, u.projects
         FROM hub.session s JOIN hub.app_user u ON u.id = s.user_id
         WHERE s.token_hash = $1 AND s.expires_at > now() AND s.idle_at > now()",
    )
    .bind(hash)
    .bind(i32::try_from(idle_h).unwrap_or(i32::MAX))
    .fetch_optional(db)
    .await
    .map_err(failure)
}

/// Adds a session.
pub(crate) async fn insert(
    db: impl PgExecutor<'_>,
    session: NewSession<'_>,
) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO hub.session (token_hash, user_id, csrf, expires_at, idle_at)
         VALUES ($1, $2, $3, $4, now() + make_interval(hours => $5))",
    )
    .bind(session.hash)
    .bind(session.user)
    .bind(session.csrf)
    .bind(session.expires_at)
    .bind(i32::try_from(session.idle_h).unwrap_or(i32::MAX))
    .execute(db)
    .await
    .map_err(failure)?;
    Ok(())
}

/// Ends a session.
pub(crate) async fn remove(db: impl PgExecutor<'_>, hash: &[u8]) -> Result<(), Failure> {
    sqlx::query("DELETE FROM hub.session WHERE token_hash = $1")
        .bind(hash)
        .execute(db)
        .await
        .map_err(failure)?;
    Ok(())
}

/// Removes what has ended.
pub(crate) async fn purge(db: impl PgExecutor<'_>) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query("DELETE FROM hub.session WHERE least(expires_at, idle_at) < now()")
        .execute(db)
        .await?
        .rows_affected())
}
