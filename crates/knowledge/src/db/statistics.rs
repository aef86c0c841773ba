//! `knowledge.corpus_stat`, `lexeme_stat` and `lexeme_delta`: what BM25 and the result cache need
//! to know of the whole.

use sqlx::{PgConnection, PgPool};

/// Rows of `corpus_stat`; the migration makes as many.
const SLOTS: i64 = 16;

/// Deltas folded in one transaction.
const FOLD_ROWS_MAX: i64 = 50_000;

/// The advisory lock that lets one process fold at a time.
const FOLD_LOCK: i64 = 0x6b6e_6f77_666f_6c64;

/// What a transaction did to the totals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// Documents added, or with a minus removed.
    pub documents: i64,
    /// Chunks.
    pub chunks: i64,
    /// Words in chunks.
    pub words: i64,
}

/// Notes a change and moves the epoch on, so that no result computed before it is served after
/// it. The last statement of its transaction, as others wait for the row; `spread` is any number
/// that differs between transactions.
///
/// # Errors
/// When the database does.
pub async fn record(
    connection: &mut PgConnection,
    change: Change,
    spread: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE knowledge.corpus_stat
         SET epoch = epoch + 1, documents = documents + $2, chunks = chunks + $3,
             words = words + $4
         WHERE slot = $1",
    )
    .bind(spread.rem_euclid(SLOTS) as i16)
    .bind(change.documents)
    .bind(change.chunks)
    .bind(change.words)
    .execute(connection)
    .await?;
    Ok(())
}

/// Documents and chunks stored.
///
/// # Errors
/// When the database does.
pub async fn totals(connection: &mut PgConnection) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as("SELECT sum(documents)::bigint, sum(chunks)::bigint FROM knowledge.corpus_stat")
        .fetch_one(connection)
        .await
}

/// Adds a batch of deltas to the folded counts, in order; answers how many there were. Nothing is
/// done while another process folds.
///
/// # Errors
/// When the database does.
pub async fn fold(pool: &PgPool) -> Result<i64, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let mine: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
        .bind(FOLD_LOCK)
        .fetch_one(&mut *transaction)
        .await?;
    if !mine {
        return Ok(0);
    }
    let folded: i64 = sqlx::query_scalar(
        "WITH taken AS (
             DELETE FROM knowledge.lexeme_delta WHERE id IN (
                 SELECT id FROM knowledge.lexeme_delta ORDER BY id LIMIT $1)
             RETURNING lexeme, chunks),
         folded AS (
             INSERT INTO knowledge.lexeme_stat AS stat (lexeme, chunks)
             SELECT lexeme, sum(chunks) FROM taken GROUP BY lexeme
             ON CONFLICT (lexeme) DO UPDATE SET chunks = stat.chunks + excluded.chunks)
         SELECT count(*) FROM taken",
    )
    .bind(FOLD_ROWS_MAX)
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(folded)
}

/// Drops words that no chunk holds any more.
///
/// # Errors
/// When the database does.
pub async fn drop_unused(connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
    // A row that a delta is about to raise again is simply made anew by the fold.
    let deleted = sqlx::query("DELETE FROM knowledge.lexeme_stat WHERE chunks = 0")
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected())
}
