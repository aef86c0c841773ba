//! `hub.project`.

use chrono::{DateTime, Utc};
use database::failure;
use proto::{Failure, ProjectId};
use sqlx::{FromRow, PgExecutor};

/// A row.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Row {
    pub(crate) id: ProjectId,
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) created_at: DateTime<Utc>,
}

/// Every project, by slug; how many there may be is limited where they are made.
pub(crate) async fn all(db: impl PgExecutor<'_>) -> Result<Vec<Row>, Failure> {
    sqlx::query_as("SELECT id, slug, name, state, created_at FROM hub.project ORDER BY slug")
        .fetch_all(db)
        .await
        .map_err(failure)
}

/// The project with this id or this slug.
pub(crate) async fn find(db: impl PgExecutor<'_>, key: &str) -> Result<Option<Row>, Failure> {
    sqlx::query_as(
        "SELECT id, slug, name, state, created_at FROM hub.project
         WHERE slug = lower($1) OR id::text = lower($1)",
    )
    .bind(key)
    .fetch_optional(db)
    .await
    .map_err(failure)
}

/// How many projects there are, with the table locked so that nobody adds one meanwhile.
pub(crate) async fn count_locked(tx: &mut sqlx::PgConnection) -> Result<i64, Failure> {
    sqlx::query("LOCK TABLE hub.project IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *tx)
        .await
        .map_err(failure)?;
    let count = sqlx::query_scalar("SELECT count(*) FROM hub.project");
    count.fetch_one(tx).await.map_err(failure)
}

/// Adds a project; none when the slug is taken.
pub(crate) async fn insert(
    db: impl PgExecutor<'_>,
    slug: &str,
    name: &str,
) -> Result<Option<Row>, Failure> {
    sqlx::query_as(
        "INSERT INTO hub.project (id, slug, name) VALUES ($1, $2, $3)
         ON CONFLICT (slug) DO NOTHING RETURNING id, slug, name, state, created_at",
    )
    .bind(ProjectId::generate())
    .bind(slug)
    .bind(name)
    .fetch_optional(db)
    .await
    .map_err(failure)
}

/// Marks a project as going away.
pub(crate) async fn mark_deleting(db: impl PgExecutor<'_>, id: ProjectId) -> Result<(), Failure> {
    sqlx::query("UPDATE hub.project SET state = 'deleting' WHERE id = $1")
        .bind(id)
        .execute(db)
        .await
        .map_err(failure)?;
    Ok(())
}

/// Removes a project's row, and the project from every scope that names it.
pub(crate) async fn remove(tx: &mut sqlx::PgConnection, id: ProjectId) -> Result<(), sqlx::Error> {
    for statement in [
        "UPDATE hub.app_user SET projects = array_remove(projects, $1) WHERE $1 = ANY(projects)",
        "UPDATE hub.api_token SET projects = array_remove(projects, $1) WHERE $1 = ANY(projects)",
        "DELETE FROM hub.project WHERE id = $1",
    ] {
        sqlx::query(statement).bind(id).execute(&mut *tx).await?;
    }
    Ok(())
}
