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

/// The session whose cookie has this hash, unless it has expired.
pub(crate) async fn find(db: impl PgExecutor<'_>, hash: &[u8]) -> Result<Option<Row>, Failure> {
    sqlx::query_as(
        "SELECT s.user_id, s.csrf, u.name, u.role, u.all_projects, u.projects
         FROM hub.session s JOIN hub.app_user u ON u.id = s.user_id
         WHERE s.token_hash = $1 AND s.expires_at > now()",
    )
    .bind(hash)
    .fetch_optional(db)
    .await
    .map_err(failure)
}

/// Adds a session.
pub(crate) async fn insert(
    db: impl PgExecutor<'_>,
    hash: &[u8],
    user: UserId,
    csrf: &str,
    expires_at: DateTime<Utc>,
) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO hub.session (token_hash, user_id, csrf, expires_at) VALUES ($1, $2, $3, $4)",
    )
    .bind(hash)
    .bind(user)
    .bind(csrf)
    .bind(expires_at)
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

/// Removes what has expired.
pub(crate) async fn purge(db: impl PgExecutor<'_>) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query("DELETE FROM hub.session WHERE expires_at < now()")
        .execute(db)
        .await?
        .rows_affected())
}
