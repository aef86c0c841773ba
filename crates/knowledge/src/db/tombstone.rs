//! `knowledge.tombstone`: what is gone keeps its number.

use proto::SourceId;
use sqlx::PgConnection;

/// How long a number is kept, in days: no fetch that began before a deletion runs for longer.
pub const KEPT_DAYS: i32 = 30;

/// Buries a document of a source, or with an empty `external_id` all of them.
///
/// # Errors
/// When the database does.
pub async fn bury(
    connection: &mut PgConnection,
    source: SourceId,
    external_ids: &[String],
    observed_seq: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO knowledge.tombstone (source_id, external_id, observed_seq)
         SELECT $1, external_id, $3 FROM unnest($2::text[]) AS external_id ORDER BY external_id
         ON CONFLICT (source_id, external_id) DO UPDATE
         SET observed_seq = greatest(tombstone.observed_seq, excluded.observed_seq),
             deleted_at = now()",
    )
    .bind(source)
    .bind(external_ids)
    .bind(observed_seq)
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets what is older than [`KEPT_DAYS`].
///
/// # Errors
/// When the database does.
pub async fn forget_old(connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query(
        "DELETE FROM knowledge.tombstone WHERE deleted_at < now() - make_interval(days => $1)",
    )
    .bind(KEPT_DAYS)
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
