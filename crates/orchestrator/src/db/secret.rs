//! Table `secret`.

use chrono::{DateTime, Utc};
use proto::ProjectId;
use sqlx::{PgConnection, PgPool};

/// A version of a secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Counts its values.
    pub version: i32,
    /// When it was put.
    pub created_at: DateTime<Utc>,
    /// Of its sealed form, a little more than of its value.
    pub bytes: i32,
}

/// A version of a secret as it lies in the table.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Sealed {
    /// Its name.
    pub name: String,
    /// Counts its values.
    pub version: i32,
    /// See [`secret`](crate::secret).
    pub sealed: Vec<u8>,
}

/// Holds until the transaction's end whoever changes the project's secrets or what names them.
///
/// # Errors
/// Of the database.
pub async fn lock(conn: &mut PgConnection, project: ProjectId) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('secrets of ' || $1, 0))")
        .bind(project.to_string())
        .execute(conn)
        .await
        .map(drop)
}

/// The newest version of each of a project's secrets, by name.
///
/// # Errors
/// Of the database.
pub async fn list(
    executor: impl sqlx::PgExecutor<'_>,
    project: ProjectId,
) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as(
        "SELECT DISTINCT ON (name) name, version, created_at, octet_length(sealed) AS bytes
         FROM orchestrator.secret
         WHERE project_id = $1 AND sealed IS NOT NULL ORDER BY name, version DESC",
    )
    .bind(project)
    .fetch_all(executor)
    .await
}

/// Every version that is kept, by name, the newest first.
///
/// # Errors
/// Of the database.
pub async fn sealed(pool: &PgPool, project: ProjectId) -> sqlx::Result<Vec<Sealed>> {
    sqlx::query_as(
        "SELECT name, version, sealed FROM orchestrator.secret
         WHERE project_id = $1 AND sealed IS NOT NULL ORDER BY name, version DESC",
    )
    .bind(project)
    .fetch_all(pool)
    .await
}

/// The newest version of a secret that has one.
///
/// # Errors
/// Of the database.
pub async fn newest(
    conn: &mut PgConnection,
    project: ProjectId,
    name: &str,
) -> sqlx::Result<Option<Sealed>> {
    sqlx::query_as(
        "SELECT name, version, sealed FROM orchestrator.secret
         WHERE project_id = $1 AND name = $2 AND sealed IS NOT NULL
         ORDER BY version DESC LIMIT 1",
    )
    .bind(project)
    .bind(name)
    .fetch_optional(conn)
    .await
}

/// The number that the next version gets; the project must be [locked](lock).
///
/// # Errors
/// Of the database.
pub async fn next(conn: &mut PgConnection, project: ProjectId, name: &str) -> sqlx::Result<i32> {
    sqlx::query_scalar(
        "SELECT coalesce(max(version), 0) + 1 FROM orchestrator.secret
         WHERE project_id = $1 AND name = $2",
    )
    .bind(project)
    .bind(name)
    .fetch_one(conn)
    .await
}

/// Puts a version, and drops those before the one before.
///
/// # Errors
/// Of the database.
pub async fn put(
    conn: &mut PgConnection,
    project: ProjectId,
    new: &Sealed,
    actor: &str,
) -> sqlx::Result<Listed> {
    sqlx::query(
        "DELETE FROM orchestrator.secret WHERE project_id = $1 AND name = $2 AND version < $3 - 1",
    )
    .bind(project)
    .bind(&new.name)
    .bind(new.version)
    .execute(&mut *conn)
    .await?;
    sqlx::query_as(
        "INSERT INTO orchestrator.secret (project_id, name, version, sealed, actor)
         VALUES ($1, $2, $3, $4, $5)
         RETURNING name, version, created_at, octet_length(sealed) AS bytes",
    )
    .bind(project)
    .bind(&new.name)
    .bind(new.version)
    .bind(&new.sealed)
    .bind(actor)
    .fetch_one(conn)
    .await
}

/// Deletes every value of a secret; `false` when there is none.
///
/// # Errors
/// Of the database.
pub async fn delete(
    conn: &mut PgConnection,
    project: ProjectId,
    name: &str,
    actor: &str,
) -> sqlx::Result<bool> {
    sqlx::query(
        "UPDATE orchestrator.secret SET sealed = NULL, actor = $3
         WHERE project_id = $1 AND name = $2 AND sealed IS NOT NULL",
    )
    .bind(project)
    .bind(name)
    .bind(actor)
    .execute(conn)
    .await
    .map(|done| done.rows_affected() > 0)
}

/// Removes everything that is known of a project's secrets. Its stack must be gone.
///
/// # Errors
/// Of the database.
pub async fn forget(pool: &PgPool, project: ProjectId) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM orchestrator.secret WHERE project_id = $1")
        .bind(project)
        .execute(pool)
        .await
        .map(drop)
}
