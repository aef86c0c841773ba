//! Table `verdict`.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::scan::{Counts, Found, Scanned};

#[derive(sqlx::FromRow)]
struct Row {
    scanned_at: DateTime<Utc>,
    database_updated_at: DateTime<Utc>,
    critical: i32,
    high: i32,
    medium: i32,
    low: i32,
    fixable: i32,
    note: String,
}

/// The last verdict about an image.
///
/// # Errors
/// Of the database.
pub async fn get(pool: &PgPool, image: &str) -> sqlx::Result<Option<Scanned>> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT scanned_at, database_updated_at, critical, high, medium, low, fixable, note
         FROM orchestrator.verdict WHERE image = $1",
    )
    .bind(image)
    .fetch_optional(pool)
    .await?;
    let unsigned = |number| u32::try_from(number).unwrap_or(0);
    Ok(row.map(|it| Scanned {
        image: image.to_owned(),
        at: it.scanned_at,
        result: Ok(Found {
            counts: Counts {
                critical: unsigned(it.critical),
                high: unsigned(it.high),
                medium: unsigned(it.medium),
                low: unsigned(it.low),
                fixable: unsigned(it.fixable),
            },
            database_updated_at: it.database_updated_at,
            note: it.note,
        }),
    }))
}

/// Keeps a verdict instead of the one before; one that is none is not kept.
///
/// # Errors
/// Of the database.
pub async fn store(pool: &PgPool, scanned: &Scanned) -> sqlx::Result<()> {
    let Ok(found) = &scanned.result else { return Ok(()) };
    let Counts { critical, high, medium, low, fixable } = found.counts;
    let [critical, high, medium, low, fixable] =
        [critical, high, medium, low, fixable].map(|it| i32::try_from(it).unwrap_or(i32::MAX));
    sqlx::query(
        "INSERT INTO orchestrator.verdict (image, scanned_at, database_updated_at, critical, high,
             medium, low, fixable, note)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (image) DO UPDATE SET
             scanned_at = excluded.scanned_at, database_updated_at = excluded.database_updated_at,
             critical = excluded.critical, high = excluded.high, medium = excluded.medium,
             low = excluded.low, fixable = excluded.fixable, note = excluded.note",
    )
    .bind(&scanned.image)
    .bind(scanned.at)
    .bind(found.database_updated_at)
    .bind(critical)
    .bind(high)
    .bind(medium)
    .bind(low)
    .bind(fixable)
    .bind(&found.note)
    .execute(pool)
    .await
    .map(drop)
}

/// Removes verdicts from before `before`, at most `limit`; answers how many.
///
/// # Errors
/// Of the database.
pub async fn expire(pool: &PgPool, before: DateTime<Utc>, limit: i64) -> sqlx::Result<u64> {
    let removed = sqlx::query(
        "DELETE FROM orchestrator.verdict WHERE image IN (
             SELECT image FROM orchestrator.verdict WHERE scanned_at < $1 LIMIT $2)",
    )
    .bind(before)
    .bind(limit)
    .execute(pool)
    .await?;
    Ok(removed.rows_affected())
}
