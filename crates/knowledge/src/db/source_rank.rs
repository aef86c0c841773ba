//! `knowledge.source_rank`: what ranking knows of a source.

use proto::{ProjectId, SourceId};
use sqlx::PgConnection;

/// A source as ranking sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRank {
    /// Which source.
    pub source: SourceId,
    /// Its project.
    pub project: ProjectId,
    /// For people.
    pub name: String,
    /// feed, docs, webhook, watch, manual.
    pub kind: String,
    /// 1 to 10.
    pub priority: i16,
    /// Whether its documents are found. A paused source is enabled: it only fetches nothing.
    pub enabled: bool,
    /// The source's version.
    pub version: i64,
}

/// Stores what is newer than what is known; answers whether it was.
///
/// # Errors
/// When the database does.
pub async fn set(connection: &mut PgConnection, rank: &SourceRank) -> Result<bool, sqlx::Error> {
    let stored = sqlx::query(
        "INSERT INTO knowledge.source_rank AS known
             (source_id, project_id, name, kind, priority, enabled, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (source_id) DO UPDATE
         SET project_id = excluded.project_id, name = excluded.name, kind = excluded.kind,
             priority = excluded.priority, enabled = excluded.enabled,
             version = excluded.version, updated_at = now()
         WHERE known.version < excluded.version",
    )
    .bind(rank.source)
    .bind(rank.project)
    .bind(&rank.name)
    .bind(&rank.kind)
    .bind(rank.priority)
    .bind(rank.enabled)
    .bind(rank.version)
    .execute(connection)
    .await?;
    Ok(stored.rows_affected() == 1)
}
