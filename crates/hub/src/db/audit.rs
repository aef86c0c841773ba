//! `hub.audit`.

use chrono::{DateTime, Utc};
use database::failure;
use proto::{Failure, ProjectId};
use serde_json::Value;
use sqlx::{FromRow, PgExecutor};

/// A row.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) at: DateTime<Utc>,
    pub(crate) actor_id: String,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) object: String,
    pub(crate) object_id: String,
    pub(crate) project_id: Option<ProjectId>,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

/// An entry to add.
pub(crate) struct Entry<'a> {
    pub(crate) actor_id: &'a str,
    pub(crate) actor: &'a str,
    pub(crate) action: &'a str,
    pub(crate) object: &'a str,
    pub(crate) object_id: &'a str,
    pub(crate) project: Option<ProjectId>,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

/// Adds an entry.
pub(crate) async fn insert(db: impl PgExecutor<'_>, entry: Entry<'_>) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO hub.audit
             (actor_id, actor, action, object, object_id, project_id, before, after)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(entry.actor_id)
    .bind(entry.actor)
    .bind(entry.action)
    .bind(entry.object)
    .bind(entry.object_id)
    .bind(entry.project)
    .bind(entry.before)
    .bind(entry.after)
    .execute(db)
    .await
    .map_err(failure)?;
    Ok(())
}

/// Entries before `before` (an id; none starts at the newest), newest first.
pub(crate) async fn page(
    db: impl PgExecutor<'_>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Row>, Failure> {
    sqlx::query_as(
        "SELECT id, at, actor_id, actor, action, object, object_id, project_id, before, after
         FROM hub.audit WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2",
    )
    .bind(before)
    .bind(limit)
    .fetch_all(db)
    .await
    .map_err(failure)
}

/// Removes what is older than `days` days.
pub(crate) async fn purge(db: impl PgExecutor<'_>, days: u32) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query("DELETE FROM hub.audit WHERE at < now() - make_interval(days => $1)")
        .bind(i32::try_from(days).unwrap_or(i32::MAX))
        .execute(db)
        .await?
        .rows_affected())
}
