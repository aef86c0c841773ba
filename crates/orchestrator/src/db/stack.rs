//! Table `stack`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use proto::ProjectId;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};

use crate::plan::Wish;

/// A project's stack as its owner wants it.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Stack {
    /// Whose.
    pub project_id: ProjectId,
    /// Of the project's own range of user ids.
    pub number: i32,
    /// Counts specs.
    pub generation: i64,
    /// Counts changes.
    pub version: i64,
    /// `running`, `stopped`, `removed`.
    pub wish: String,
    /// With `removed` only.
    pub remove_volumes: bool,
    /// Since when.
    pub wished_at: DateTime<Utc>,
    /// The effective spec, encoded.
    pub spec: Vec<u8>,
    /// Image ids by service.
    pub images: Json<BTreeMap<String, String>>,
    /// By service.
    pub restart_after: Json<BTreeMap<String, DateTime<Utc>>>,
    /// When the spec was applied.
    pub applied_at: DateTime<Utc>,
}

impl Stack {
    /// The wish as the plan takes it.
    #[must_use]
    pub fn wish(&self) -> Wish {
        match self.wish.as_str() {
            "running" => Wish::Running,
            "stopped" => Wish::Stopped,
            _ => Wish::Removed { volumes: self.remove_volumes },
        }
    }
}

const COLUMNS: &str = "project_id, number, generation, version, wish, remove_volumes, wished_at, \
                       spec, images, restart_after, applied_at";

/// The stack of a project.
///
/// # Errors
/// Of the database.
pub async fn get(
    executor: impl sqlx::PgExecutor<'_>,
    project: ProjectId,
) -> sqlx::Result<Option<Stack>> {
    let query = format!("SELECT {COLUMNS} FROM orchestrator.stack WHERE project_id = $1");
    sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(project).fetch_optional(executor).await
}

/// Every stack that is or shall be there, or is being removed, with its version.
///
/// # Errors
/// Of the database.
pub async fn alive(pool: &PgPool) -> sqlx::Result<Vec<(ProjectId, i64)>> {
    sqlx::query_as(
        "SELECT project_id, version FROM orchestrator.stack AS s
         WHERE wish <> 'removed' OR EXISTS (
             SELECT FROM orchestrator.operation AS o
             WHERE o.project_id = s.project_id AND o.state = 'running')",
    )
    .fetch_all(pool)
    .await
}

/// How many stacks are wanted to run.
///
/// # Errors
/// Of the database.
pub async fn running(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT count(*) FROM orchestrator.stack WHERE wish = 'running'")
        .fetch_one(pool)
        .await
}

/// Declares what the stack is, and wants it to run. The images are looked up again, as a name may
/// stand for another image now.
///
/// # Errors
/// Of the database.
pub async fn apply(
    conn: &mut PgConnection,
    project: ProjectId,
    spec: &[u8],
    at: DateTime<Utc>,
) -> sqlx::Result<Stack> {
    let again = "wish = 'running', remove_volumes = false, wished_at = $3, spec = $2, \
                 applied_at = $3, images = '{}', version = s.version + 1, \
                 generation = s.generation + (s.spec <> $2)::integer";
    // An insert draws a number also when there is a row: only a new stack shall take one.
    let update = format!(
        "UPDATE orchestrator.stack AS s SET {again} WHERE project_id = $1 RETURNING {COLUMNS}"
    );
    let insert = format!(
        "INSERT INTO orchestrator.stack AS s (project_id, wish, wished_at, spec, applied_at)
         VALUES ($1, 'running', $3, $2, $3)
         ON CONFLICT (project_id) DO UPDATE SET {again} RETURNING {COLUMNS}"
    );
    let query = |text| sqlx::query_as(sqlx::AssertSqlSafe(text)).bind(project).bind(spec).bind(at);
    match query(update).fetch_optional(&mut *conn).await? {
        Some(row) => Ok(row),
        None => query(insert).fetch_one(conn).await,
    }
}

/// Wants something else of the stack; `None` when there is none.
///
/// # Errors
/// Of the database.
pub async fn wish(
    conn: &mut PgConnection,
    project: ProjectId,
    wish: Wish,
    at: DateTime<Utc>,
) -> sqlx::Result<Option<Stack>> {
    let (name, volumes) = match wish {
        Wish::Running => ("running", false),
        Wish::Stopped => ("stopped", false),
        Wish::Removed { volumes } => ("removed", volumes),
    };
    let query = format!(
        "UPDATE orchestrator.stack
         SET wish = $2, remove_volumes = $3, wished_at = $4, version = version + 1
         WHERE project_id = $1 RETURNING {COLUMNS}"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(project)
        .bind(name)
        .bind(volumes)
        .bind(at)
        .fetch_optional(conn)
        .await
}

/// Wants new processes of these services; `None` when there is no stack that shall run.
///
/// # Errors
/// Of the database.
pub async fn restart(
    conn: &mut PgConnection,
    project: ProjectId,
    services: &[String],
    at: DateTime<Utc>,
) -> sqlx::Result<Option<Stack>> {
    let restarts: BTreeMap<&String, DateTime<Utc>> = services.iter().map(|it| (it, at)).collect();
    let query = format!(
        "UPDATE orchestrator.stack
         SET restart_after = restart_after || $2, version = version + 1
         WHERE project_id = $1 AND wish = 'running' RETURNING {COLUMNS}"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(project)
        .bind(Json(restarts))
        .fetch_optional(conn)
        .await
}

/// Something that the stack consists of has changed beside its spec.
///
/// # Errors
/// Of the database.
pub async fn reconsider(conn: &mut PgConnection, project: ProjectId) -> sqlx::Result<()> {
    sqlx::query("UPDATE orchestrator.stack SET version = version + 1 WHERE project_id = $1")
        .bind(project)
        .execute(conn)
        .await
        .map(drop)
}

/// Remembers which images the names stand for, unless the stack has changed since.
///
/// # Errors
/// Of the database.
pub async fn pin(
    pool: &PgPool,
    stack: &Stack,
    images: &BTreeMap<String, String>,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE orchestrator.stack SET images = $3 WHERE project_id = $1 AND version = $2")
        .bind(stack.project_id)
        .bind(stack.version)
        .bind(Json(images))
        .execute(pool)
        .await
        .map(drop)
}
