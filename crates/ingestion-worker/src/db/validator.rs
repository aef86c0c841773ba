//! Table `validator`.

use proto::SourceId;
use sqlx::{FromRow, PgConnection, PgPool};

/// What the site gave us for a conditional request, verbatim.
#[derive(Debug, Clone, Default, PartialEq, Eq, FromRow)]
pub struct Validator {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
}

/// The validators of a source, if they are of this URL and credential and a full look is not due.
///
/// # Errors
/// Of the database.
pub async fn get(
    pool: &PgPool,
    source: SourceId,
    identity: &[u8],
    full_days: i32,
) -> sqlx::Result<Option<Validator>> {
    sqlx::query_as(
        "SELECT etag, last_modified FROM ingestion.validator
         WHERE source_id = $1 AND identity = $2 AND full_at > now() - make_interval(days => $3)",
    )
    .bind(source)
    .bind(identity)
    .bind(full_days)
    .fetch_optional(pool)
    .await
}

/// Forgets the validators of a source: its next look reads the whole feed.
///
/// # Errors
/// Of the database.
pub async fn remove(conn: &mut PgConnection, source: SourceId) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM ingestion.validator WHERE source_id = $1")
        .bind(source)
        .execute(conn)
        .await
        .map(drop)
}

/// Stores the validators of an answer with a body.
///
/// # Errors
/// Of the database.
pub async fn put(
    conn: &mut PgConnection,
    source: SourceId,
    identity: &[u8],
    validator: &Validator,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO ingestion.validator (source_id, identity, etag, last_modified, full_at)
         VALUES ($1, $2, $3, $4, now())
         ON CONFLICT (source_id) DO UPDATE SET identity = excluded.identity, etag = excluded.etag,
             last_modified = excluded.last_modified, full_at = excluded.full_at",
    )
    .bind(source)
    .bind(identity)
    .bind(&validator.etag)
    .bind(&validator.last_modified)
    .execute(conn)
    .await
    .map(drop)
}
