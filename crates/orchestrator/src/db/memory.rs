//! Table `memory`.

use proto::ProjectId;
use sqlx::PgPool;
use sqlx::types::Json;

use crate::memory::Stored;

/// What is remembered of a project's services; `None` when nothing is, or it cannot be read.
///
/// # Errors
/// Of the database.
pub async fn load(pool: &PgPool, project: ProjectId) -> sqlx::Result<Option<Stored>> {
    let found: Option<serde_json::Value> =
        sqlx::query_scalar("SELECT memory FROM orchestrator.memory WHERE project_id = $1")
            .bind(project)
            .fetch_optional(pool)
            .await?;
    Ok(found.and_then(|it| {
        // A version of ours that wrote it otherwise is no reason to stand still.
        let read = serde_json::from_value(it);
        read.inspect_err(|error| {
            tracing::warn!(%error, project.id = %project, "what was remembered cannot be read");
        })
        .ok()
    }))
}

/// Remembers this instead of what was before, as long as there is a stack.
///
/// # Errors
/// Of the database.
pub async fn save(pool: &PgPool, project: ProjectId, memory: &Stored) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO orchestrator.memory (project_id, memory)
         SELECT project_id, $2 FROM orchestrator.stack WHERE project_id = $1
         ON CONFLICT (project_id) DO UPDATE SET memory = excluded.memory, updated_at = now()",
    )
    .bind(project)
    .bind(Json(memory))
    .execute(pool)
    .await
    .map(drop)
}
