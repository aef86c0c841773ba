//! Documents as their index jobs and as people read them.

use chrono::{DateTime, Utc};
use proto::{DocumentId, ProjectId, SourceId};
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::{db::filter as sql, filter::Filter};

/// A document as its index job needs it.
#[derive(Debug, Clone, FromRow)]
pub struct ToIndex {
    /// The row.
    pub id: i64,
    /// The public id.
    pub public_id: DocumentId,
    /// Its project.
    pub project_id: ProjectId,
    /// Its source.
    pub source_id: SourceId,
    /// One line.
    pub title: String,
    /// Markdown.
    pub text: String,
    /// The newest revision.
    pub revision: i32,
    /// The one that search answers from.
    pub indexed_revision: i32,
}

/// The newest revision of a document, unless it is gone.
///
/// # Errors
/// When the database does.
pub async fn to_index(
    connection: &mut PgConnection,
    id: DocumentId,
) -> Result<Option<ToIndex>, sqlx::Error> {
    sqlx::query_as(
        "SELECT d.id, d.public_id, d.project_id, d.source_id, r.title, r.text, d.revision,
                d.indexed_revision
         FROM knowledge.document d
         JOIN knowledge.revision r ON r.document_id = d.id AND r.revision = d.revision
         WHERE d.public_id = $1",
    )
    .bind(id)
    .fetch_optional(connection)
    .await
}

/// A document for people.
#[derive(Debug, Clone, FromRow)]
pub struct Document {
    /// The row.
    pub id: i64,
    /// The public id.
    pub public_id: DocumentId,
    /// Its project.
    pub project_id: ProjectId,
    /// Its source.
    pub source_id: SourceId,
    /// The source's name of it.
    pub external_id: String,
    /// The revision shown.
    pub revision: i32,
    /// The one that search answers from.
    pub indexed_revision: i32,
    /// One line.
    pub title: String,
    /// Where a person can read it.
    pub url: String,
    /// Markdown; empty in lists.
    pub text: String,
    /// Who wrote it.
    pub authors: Vec<String>,
    /// What it is filed under.
    pub tags: Vec<String>,
    /// BCP 47.
    pub language: String,
    /// As the source says.
    pub published_at: Option<DateTime<Utc>>,
    /// As the source says.
    pub updated_at: Option<DateTime<Utc>>,
    /// When the revision came.
    pub ingested_at: DateTime<Utc>,
    /// The source's kind.
    pub source_kind: String,
    /// The source's name as it is now.
    pub source_name: String,
    /// How many passages search answers from.
    pub chunks: i32,
}

/// One document, in one of its revisions or with 0 the newest.
///
/// # Errors
/// When the database does.
pub async fn get(
    connection: &mut PgConnection,
    id: DocumentId,
    revision: i32,
) -> Result<Option<Document>, sqlx::Error> {
    sqlx::query_as(
        "SELECT d.id, d.public_id, d.project_id, d.source_id, d.external_id, r.revision,
                d.indexed_revision, r.title, r.url, r.text, r.authors, r.tags, r.language,
                r.published_at, r.updated_at, r.ingested_at, d.source_kind,
                coalesce(s.name, d.source_name) AS source_name, d.chunks
         FROM knowledge.document d
         JOIN knowledge.revision r ON r.document_id = d.id
             AND r.revision = CASE $2 WHEN 0 THEN d.revision ELSE $2 END
         LEFT JOIN knowledge.source_rank s USING (source_id)
         WHERE d.public_id = $1",
    )
    .bind(id)
    .bind(revision)
    .fetch_optional(connection)
    .await
}

/// The newest documents first, from the one after `after`; texts are left out.
///
/// # Errors
/// When the database does.
pub async fn list(
    connection: &mut PgConnection,
    filter: &Filter,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Document>, sqlx::Error> {
    let mut query = QueryBuilder::<Postgres>::new(
        "SELECT d.id, d.public_id, d.project_id, d.source_id, d.external_id, d.revision,
                d.indexed_revision, d.title, d.url, '' AS text, d.authors, d.tags, d.language,
                d.published_at, d.updated_at, d.ingested_at, d.source_kind,
                coalesce(s.name, d.source_name) AS source_name, d.chunks
         FROM knowledge.document d LEFT JOIN knowledge.source_rank s USING (source_id)
         WHERE true",
    );
    sql::placement(&mut query, "d", filter);
    sql::description(&mut query, "d", filter);
    if let Some(after) = after {
        query.push(" AND d.public_id < ").push_bind(after);
    }
    query.push(" ORDER BY d.public_id DESC LIMIT ").push_bind(limit);
    query.build_query_as().persistent(false).fetch_all(connection).await
}

/// How many documents each of the sources has, within what a caller may read.
///
/// # Errors
/// When the database does.
pub async fn count_by_source(
    connection: &mut PgConnection,
    sources: &[SourceId],
    projects: Option<&[ProjectId]>,
) -> Result<Vec<(SourceId, i64)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT source_id, count(*) FROM knowledge.document
         WHERE source_id = ANY($1) AND ($2::uuid[] IS NULL OR project_id = ANY($2))
         GROUP BY source_id",
    )
    .bind(sources)
    .bind(projects)
    .fetch_all(connection)
    .await
}
