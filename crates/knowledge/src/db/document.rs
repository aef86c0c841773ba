//! `knowledge.document` and `knowledge.revision`.

mod read;

pub use read::{Document, ToIndex, count_by_source, get, list, to_index};

use chrono::{DateTime, Utc};
use proto::{DocumentId, ProjectId, SourceId};
use sqlx::{FromRow, PgConnection};

use crate::{observation::Stored, submission::Submission};

/// Revisions kept of one document.
const REVISIONS_KEPT: i32 = 10;

/// What is known of a document that is observed again.
#[derive(Debug, FromRow)]
pub struct Known {
    id: Option<i64>,
    public_id: Option<DocumentId>,
    observed_seq: Option<i64>,
    content_sha256: Option<Vec<u8>>,
    behind: Option<bool>,
    /// The newest tombstone's number.
    pub buried: Option<i64>,
}

impl Known {
    /// The row and public id, if the document is stored.
    #[must_use]
    pub fn ids(&self) -> Option<(i64, DocumentId)> {
        self.id.zip(self.public_id)
    }

    /// Whether search answers from an older revision, or from none.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.behind == Some(true)
    }

    /// What [`decide`](crate::observation::decide) compares with.
    #[must_use]
    pub fn stored(&self) -> Option<Stored> {
        let content = self.content_sha256.as_deref()?.try_into().ok()?;
        Some(Stored { seq: self.observed_seq?, content })
    }
}

/// Lets one transaction at a time decide on each of these documents, whether they exist or not,
/// and none while a purge marks their source. `documents` are locked in one order everywhere.
///
/// # Errors
/// When the database does.
pub async fn lock(
    connection: &mut PgConnection,
    sources: &[SourceId],
    documents: &[i64],
) -> Result<(), sqlx::Error> {
    let mut sources: Vec<i64> = sources.iter().map(|&source| source_lock(source)).collect();
    sources.sort_unstable();
    sqlx::query("SELECT pg_advisory_xact_lock_shared(key) FROM unnest($1::bigint[]) AS key")
        .bind(sources)
        .execute(&mut *connection)
        .await?;
    let mut documents = documents.to_vec();
    documents.sort_unstable();
    sqlx::query("SELECT pg_advisory_xact_lock(key) FROM unnest($1::bigint[]) AS key")
        .bind(documents)
        .execute(connection)
        .await?;
    Ok(())
}

/// Waits for every transaction that stores documents of the source, and holds off new ones.
///
/// # Errors
/// When the database does.
pub async fn lock_source(
    connection: &mut PgConnection,
    source: SourceId,
) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(source_lock(source))
        .execute(connection)
        .await?;
    Ok(())
}

fn source_lock(source: SourceId) -> i64 {
    source.0.as_u64_pair().1 as i64
}

/// What is known of each of the documents, in order.
///
/// # Errors
/// When the database does.
pub async fn known(
    connection: &mut PgConnection,
    sources: &[SourceId],
    external_ids: &[String],
) -> Result<Vec<Known>, sqlx::Error> {
    sqlx::query_as(
        "SELECT d.id, d.public_id, d.observed_seq, d.content_sha256,
                d.indexed_revision < d.revision AS behind,
                (SELECT max(t.observed_seq) FROM knowledge.tombstone t
                 WHERE t.source_id = k.source_id
                   AND t.external_id IN ('', k.external_id)) AS buried
         FROM unnest($1::uuid[], $2::text[])
                  WITH ORDINALITY AS k (source_id, external_id, place)
         LEFT JOIN knowledge.document d USING (source_id, external_id)
         ORDER BY k.place",
    )
    .bind(sources)
    .bind(external_ids)
    .fetch_all(connection)
    .await
}

/// Whether search answers from an older revision of a document, or from none.
///
/// # Errors
/// When the database does.
pub async fn is_behind(connection: &mut PgConnection, id: i64) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM knowledge.document
                        WHERE id = $1 AND indexed_revision < revision)",
    )
    .bind(id)
    .fetch_one(connection)
    .await
}

/// Waits for the index jobs that are storing these documents, and holds off others.
///
/// # Errors
/// When the database does.
pub async fn lock_rows(connection: &mut PgConnection, ids: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT FROM knowledge.document WHERE id = ANY($1) ORDER BY id FOR UPDATE")
        .bind(ids)
        .execute(connection)
        .await?;
    Ok(())
}

/// Stores a first revision; answers the document's row.
///
/// # Errors
/// When the database does.
pub async fn create(
    connection: &mut PgConnection,
    id: DocumentId,
    new: &Submission,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "WITH stored AS (
             INSERT INTO knowledge.document
                 (public_id, source_id, external_id, revision, dated_at, observed_seq,
                  project_id, title, url, authors, tags, language, published_at, updated_at,
                  content_sha256, source_kind, source_name)
             VALUES ($1, $2, $3, 1, coalesce($11, now()), $4, $5, $6, $7, $8, $9, $10, $11, $12,
                     $13, $14, $15)
             RETURNING id)
         INSERT INTO knowledge.revision
             (document_id, revision, observed_seq, title, url, text, authors, tags, language,
              published_at, updated_at)
         SELECT id, 1, $4, $6, $7, $16, $8, $9, $10, $11, $12 FROM stored
         RETURNING document_id",
    )
    .bind(id)
    .bind(new.source)
    .bind(&new.external_id)
    .bind(new.observed_seq)
    .bind(new.project)
    .bind(&new.title)
    .bind(&new.url)
    .bind(&new.authors)
    .bind(&new.tags)
    .bind(&new.language)
    .bind(new.published_at)
    .bind(new.updated_at)
    .bind(&new.content_sha256()[..])
    .bind(&new.source_kind)
    .bind(&new.source_name)
    .bind(&new.text)
    .fetch_one(connection)
    .await
}

/// Stores another revision and drops those beyond the newest ten.
///
/// # Errors
/// When the database does.
pub async fn revise(
    connection: &mut PgConnection,
    id: i64,
    new: &Submission,
) -> Result<(), sqlx::Error> {
    // Passages that are being stored move to another project with the rest.
    lock_rows(&mut *connection, &[id]).await?;
    sqlx::query(
        "WITH stored AS (
             UPDATE knowledge.document
             SET revision = revision + 1, observed_seq = $2, project_id = $3, title = $4,
                 url = $5, authors = $6, tags = $7, language = $8, published_at = $9,
                 updated_at = $10, content_sha256 = $11, source_kind = $12, source_name = $13,
                 dated_at = coalesce($9, dated_at), ingested_at = now()
             WHERE id = $1
             RETURNING revision),
         dropped AS (
             DELETE FROM knowledge.revision old USING stored
             WHERE old.document_id = $1 AND old.revision <= stored.revision - $15),
         -- The passages that are still searchable must not stay in the project they left.
         moved AS (
             UPDATE knowledge.chunk SET project_id = $3
             WHERE document_id = $1 AND project_id <> $3)
         INSERT INTO knowledge.revision
             (document_id, revision, observed_seq, title, url, text, authors, tags, language,
              published_at, updated_at)
         SELECT $1, revision, $2, $4, $5, $14, $6, $7, $8, $9, $10 FROM stored",
    )
    .bind(id)
    .bind(new.observed_seq)
    .bind(new.project)
    .bind(&new.title)
    .bind(&new.url)
    .bind(&new.authors)
    .bind(&new.tags)
    .bind(&new.language)
    .bind(new.published_at)
    .bind(new.updated_at)
    .bind(&new.content_sha256()[..])
    .bind(&new.source_kind)
    .bind(&new.source_name)
    .bind(&new.text)
    .bind(REVISIONS_KEPT)
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that documents were seen again as they are.
///
/// # Errors
/// When the database does.
pub async fn confirm(
    connection: &mut PgConnection,
    ids: &[i64],
    seen: &[&Submission],
) -> Result<(), sqlx::Error> {
    let seqs: Vec<i64> = seen.iter().map(|seen| seen.observed_seq).collect();
    let touched: Vec<Option<DateTime<Utc>>> = seen.iter().map(|seen| seen.updated_at).collect();
    sqlx::query(
        "UPDATE knowledge.document d
         SET observed_seq = s.seq, updated_at = coalesce(s.touched, d.updated_at)
         FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) AS s (id, seq, touched)
         WHERE d.id = s.id AND d.observed_seq < s.seq",
    )
    .bind(ids)
    .bind(seqs)
    .bind(touched)
    .execute(connection)
    .await?;
    Ok(())
}

/// A document that was removed.
#[derive(Debug, Clone, FromRow)]
pub struct Removed {
    /// Its public id.
    pub public_id: DocumentId,
    /// Its project.
    pub project_id: ProjectId,
    /// Its source.
    pub source_id: SourceId,
    /// Its last revision.
    pub revision: i32,
}

/// Removes documents; their revisions, chunks and vectors go with them. The chunks' share of the
/// statistics is removed by [`chunk::remove`](super::chunk::remove) beforehand.
///
/// # Errors
/// When the database does.
pub async fn remove(
    connection: &mut PgConnection,
    ids: &[i64],
) -> Result<Vec<Removed>, sqlx::Error> {
    sqlx::query_as(
        "DELETE FROM knowledge.document WHERE id = ANY($1)
         RETURNING public_id, project_id, source_id, revision",
    )
    .bind(ids)
    .fetch_all(connection)
    .await
}

/// Documents of some projects, and their chunks.
///
/// # Errors
/// When the database does.
pub async fn totals(
    connection: &mut PgConnection,
    projects: &[ProjectId],
) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as(
        "SELECT count(*), coalesce(sum(chunks), 0)::bigint FROM knowledge.document
         WHERE project_id = ANY($1)",
    )
    .bind(projects.iter().map(|project| project.0).collect::<Vec<_>>())
    .fetch_one(connection)
    .await
}

/// Locks some documents of a source that were last observed at or before a number.
///
/// # Errors
/// When the database does.
pub async fn of_source(
    connection: &mut PgConnection,
    source: SourceId,
    observed_seq: i64,
    limit: i64,
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT id FROM knowledge.document
         WHERE source_id = $1 AND observed_seq <= $2 LIMIT $3 FOR UPDATE",
    )
    .bind(source)
    .bind(observed_seq)
    .bind(limit)
    .fetch_all(connection)
    .await
}

/// Locks a document whose `revision` is to be made searchable; answers its project as it is now,
/// or none when the document is gone or search answers from as new a revision already.
///
/// # Errors
/// When the database does.
pub async fn lock_for_index(
    connection: &mut PgConnection,
    id: i64,
    revision: i32,
) -> Result<Option<ProjectId>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT project_id FROM knowledge.document
         WHERE id = $1 AND indexed_revision < $2 FOR UPDATE",
    )
    .bind(id)
    .bind(revision)
    .fetch_optional(connection)
    .await
}

/// Notes which revision search answers from.
///
/// # Errors
/// When the database does.
pub async fn indexed(
    connection: &mut PgConnection,
    id: i64,
    revision: i32,
    chunks: usize,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE knowledge.document SET indexed_revision = $2, chunks = $3 WHERE id = $1")
        .bind(id)
        .bind(revision)
        .bind(chunks as i32)
        .execute(connection)
        .await?;
    Ok(())
}
