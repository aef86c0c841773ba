//! Table `blob`: content on its way from one stage to the next.

use sqlx::{FromRow, PgConnection, PgPool, types::Json};

use crate::document::Metadata;

/// The newest content of an item that knowledge has not got yet.
#[derive(Debug, Clone, FromRow)]
pub struct Blob {
    /// Drawn before the bytes were read.
    pub observed_seq: i64,
    /// What the source says about the content.
    pub metadata: Json<Metadata>,
    /// `text/html`, `text/markdown` or `text/plain`.
    pub media_type: String,
    /// UTF-8 text.
    pub content: Vec<u8>,
}

/// A blob as the next stage finds it.
#[derive(Debug, Clone, FromRow)]
pub struct Waiting {
    /// The content.
    #[sqlx(flatten)]
    pub blob: Blob,
    /// How long it has waited, in seconds.
    pub waited_s: f64,
}

/// Stores blobs by their item's row; a newer one takes the place of an older one, never the other
/// way round.
///
/// # Errors
/// Of the database.
pub async fn put(conn: &mut PgConnection, blobs: &[(i64, Blob)]) -> sqlx::Result<()> {
    let ids: Vec<i64> = blobs.iter().map(|(id, _)| *id).collect();
    let seqs: Vec<i64> = blobs.iter().map(|(_, it)| it.observed_seq).collect();
    let metadata: Vec<&Json<Metadata>> = blobs.iter().map(|(_, it)| &it.metadata).collect();
    let types: Vec<&str> = blobs.iter().map(|(_, it)| it.media_type.as_str()).collect();
    let contents: Vec<&[u8]> = blobs.iter().map(|(_, it)| it.content.as_slice()).collect();
    sqlx::query(
        "INSERT INTO ingestion.blob (item_id, observed_seq, metadata, media_type, content, bytes)
         SELECT id, seq, metadata, media_type, content, octet_length(content)
         FROM unnest($1::bigint[], $2::bigint[], $3::jsonb[], $4::text[], $5::bytea[])
             AS new (id, seq, metadata, media_type, content)
         ON CONFLICT (item_id) DO UPDATE SET
             observed_seq = excluded.observed_seq, metadata = excluded.metadata,
             media_type = excluded.media_type, content = excluded.content, bytes = excluded.bytes,
             created_at = now()
         WHERE blob.observed_seq <= excluded.observed_seq",
    )
    .bind(&ids)
    .bind(&seqs)
    .bind(&metadata)
    .bind(&types)
    .bind(&contents)
    .execute(conn)
    .await
    .map(drop)
}

/// The content that waits for this item.
///
/// # Errors
/// Of the database.
pub async fn get(pool: &PgPool, item: i64) -> sqlx::Result<Option<Waiting>> {
    sqlx::query_as(
        "SELECT observed_seq, metadata, media_type, content,
             extract(epoch FROM now() - created_at)::double precision AS waited_s
         FROM ingestion.blob WHERE item_id = $1",
    )
    .bind(item)
    .fetch_optional(pool)
    .await
}

/// Which of these items have content that waits.
///
/// # Errors
/// Of the database.
pub async fn waiting(conn: &mut PgConnection, items: &[i64]) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar("SELECT item_id FROM ingestion.blob WHERE item_id = ANY($1)")
        .bind(items)
        .fetch_all(conn)
        .await
}

/// Removes content that knowledge has committed, unless a newer one has come.
///
/// # Errors
/// Of the database.
pub async fn remove(conn: &mut PgConnection, item: i64, observed_seq: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM ingestion.blob WHERE item_id = $1 AND observed_seq = $2")
        .bind(item)
        .bind(observed_seq)
        .execute(conn)
        .await
        .map(drop)
}

/// Puts the normalised form in the place of what was read, so that another try reads no page again.
///
/// # Errors
/// Of the database.
pub async fn replace(pool: &PgPool, item: i64, blob: &Blob) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE ingestion.blob SET metadata = $3, media_type = $4, content = $5,
             bytes = octet_length($5)
         WHERE item_id = $1 AND observed_seq = $2",
    )
    .bind(item)
    .bind(blob.observed_seq)
    .bind(&blob.metadata)
    .bind(&blob.media_type)
    .bind(&blob.content)
    .execute(pool)
    .await
    .map(drop)
}

/// All that waits, in bytes.
///
/// # Errors
/// Of the database.
pub async fn total_bytes(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT coalesce(sum(bytes), 0)::bigint FROM ingestion.blob")
        .fetch_one(pool)
        .await
}

/// Removes up to `limit` blobs older than `days`, whose jobs are gone by then, and forgets what
/// their items said, so that the next look delivers them again.
///
/// # Errors
/// Of the database.
pub async fn forget_old(pool: &PgPool, days: i32, limit: i64) -> sqlx::Result<u64> {
    let removed = sqlx::query(
        "WITH gone AS (
             DELETE FROM ingestion.blob WHERE item_id IN (
                 SELECT item_id FROM ingestion.blob
                 WHERE created_at < now() - make_interval(days => $1) LIMIT $2)
             RETURNING item_id)
         UPDATE ingestion.item SET content_hash = '' WHERE id IN (SELECT item_id FROM gone)",
    )
    .bind(days)
    .bind(limit)
    .execute(pool)
    .await?;
    Ok(removed.rows_affected())
}
