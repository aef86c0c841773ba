//! Table `item`.

use proto::SourceId;
use sqlx::{FromRow, PgConnection, PgPool};

use crate::change::Known;

/// An item's identity as the process stage needs it.
#[derive(Debug, Clone, FromRow)]
pub struct Item {
    /// The external id of its document.
    pub key: String,
}

/// A row to write.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its second name.
    pub alias: Option<&'a str>,
    /// What it says.
    pub hash: &'a str,
}

#[derive(FromRow)]
struct KnownRow {
    id: i64,
    key: String,
    alias: Option<String>,
    content_hash: String,
}

/// The items of a source that have one of the names as their key or alias.
///
/// # Errors
/// Of the database.
pub async fn known(
    conn: &mut PgConnection,
    source: SourceId,
    names: &[&str],
) -> sqlx::Result<Vec<Known>> {
    let rows: Vec<KnownRow> = sqlx::query_as(
        "SELECT id, key, alias, content_hash FROM ingestion.item
         WHERE source_id = $1 AND (key = ANY($2) OR alias = ANY($2))",
    )
    .bind(source)
    .bind(names)
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Known { id: row.id, key: row.key, alias: row.alias, hash: row.content_hash })
        .collect())
}

/// Stores new items and returns their rows' ids, in the order of `items`. A key that is stored
/// already takes the new hash, so that writing twice is harmless.
///
/// # Errors
/// Of the database.
pub async fn insert(
    conn: &mut PgConnection,
    source: SourceId,
    items: &[Seen<'_>],
    observed_seq: i64,
) -> sqlx::Result<Vec<i64>> {
    let keys: Vec<&str> = items.iter().map(|it| it.key).collect();
    let aliases: Vec<Option<&str>> = items.iter().map(|it| it.alias).collect();
    let hashes: Vec<&str> = items.iter().map(|it| it.hash).collect();
    let ids: Vec<(String, i64)> = sqlx::query_as(
        "INSERT INTO ingestion.item (source_id, key, alias, content_hash, observed_seq)
         SELECT $1, key, alias, hash, $5 FROM unnest($2::text[], $3::text[], $4::text[])
             AS new (key, alias, hash)
         ON CONFLICT (source_id, key) DO UPDATE SET
             content_hash = excluded.content_hash, observed_seq = excluded.observed_seq
         RETURNING key, id",
    )
    .bind(source)
    .bind(&keys)
    .bind(&aliases)
    .bind(&hashes)
    .bind(observed_seq)
    .fetch_all(conn)
    .await?;
    let ids: std::collections::HashMap<String, i64> = ids.into_iter().collect();
    // Each key is there: the statement returns a row for each one it was given.
    Ok(keys.iter().filter_map(|key| ids.get(*key).copied()).collect())
}

/// Stores what items say now, and the number of the look that found an edit.
///
/// # Errors
/// Of the database.
pub async fn revise(
    conn: &mut PgConnection,
    edits: &[(i64, &str)],
    observed_seq: Option<i64>,
) -> sqlx::Result<()> {
    let ids: Vec<i64> = edits.iter().map(|(id, _)| *id).collect();
    let hashes: Vec<&str> = edits.iter().map(|(_, hash)| *hash).collect();
    sqlx::query(
        "UPDATE ingestion.item
         SET content_hash = edit.hash, observed_seq = coalesce($3, item.observed_seq)
         FROM unnest($1::bigint[], $2::text[]) AS edit (id, hash) WHERE item.id = edit.id",
    )
    .bind(&ids)
    .bind(&hashes)
    .bind(observed_seq)
    .execute(conn)
    .await
    .map(drop)
}

/// Makes the next look hand an item on again, unless a newer observation did.
///
/// # Errors
/// Of the database.
pub async fn hand_on_again(
    conn: &mut PgConnection,
    id: i64,
    observed_seq: i64,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE ingestion.item SET content_hash = '' WHERE id = $1 AND observed_seq = $2")
        .bind(id)
        .bind(observed_seq)
        .execute(conn)
        .await
        .map(drop)
}

/// One item.
///
/// # Errors
/// Of the database.
pub async fn get(pool: &PgPool, id: i64) -> sqlx::Result<Option<Item>> {
    sqlx::query_as("SELECT key FROM ingestion.item WHERE id = $1")
        .bind(id)
        .fetch_optional(pool)
        .await
}
