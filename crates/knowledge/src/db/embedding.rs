//! `knowledge.chunk_embedding`: the vectors, one partition per model.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, PgConnection};

use super::embedding_model::partition;

/// Vectors sent in one statement.
const ROWS_MAX: usize = 256;

/// Stores vectors of chunks that still exist; a vector that a chunk has already stays.
///
/// # Errors
/// When the database does.
pub async fn insert(
    connection: &mut PgConnection,
    model: i32,
    chunks: &[i64],
    vectors: &[Vec<f32>],
) -> Result<(), sqlx::Error> {
    let dimensions = vectors.first().map_or(0, Vec::len);
    let statement = format!(
        "INSERT INTO {} (chunk_id, model_id, embedding) \
         SELECT c.id, {model}, \
                ($2::real[])[(v.place - 1) * {dimensions} + 1 : v.place * {dimensions}]\
                ::halfvec({dimensions}) \
         FROM unnest($1::bigint[]) WITH ORDINALITY AS v (id, place) \
         JOIN knowledge.chunk c ON c.id = v.id FOR KEY SHARE OF c \
         ON CONFLICT DO NOTHING",
        partition(model)
    );
    for (chunks, vectors) in chunks.chunks(ROWS_MAX).zip(vectors.chunks(ROWS_MAX)) {
        sqlx::query(AssertSqlSafe(statement.clone()))
            .bind(chunks)
            .bind(vectors.concat())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Vectors that a model has given to the same input before, whatever document it was in.
///
/// # Errors
/// When the database does.
pub async fn by_input(
    connection: &mut PgConnection,
    model: i32,
    inputs: &[Vec<u8>],
) -> Result<HashMap<Vec<u8>, Vec<f32>>, sqlx::Error> {
    let statement = format!(
        "SELECT DISTINCT ON (c.input_sha256) c.input_sha256, e.embedding::real[] \
         FROM knowledge.chunk c JOIN {} e ON e.chunk_id = c.id \
         WHERE c.input_sha256 = ANY($1)",
        partition(model)
    );
    let rows: Vec<(Vec<u8>, Vec<f32>)> =
        sqlx::query_as(AssertSqlSafe(statement)).bind(inputs).fetch_all(connection).await?;
    Ok(rows.into_iter().collect())
}

/// A chunk without a vector of the model that is being built.
#[derive(Debug, sqlx::FromRow)]
pub struct Missing {
    /// The chunk's row.
    pub id: i64,
    /// Its document's title.
    pub title: String,
    /// Its headings.
    pub heading: String,
    /// Its text.
    pub content: String,
}

/// The next chunks after `after` that have no vector of a model.
///
/// # Errors
/// When the database does.
pub async fn missing(
    connection: &mut PgConnection,
    model: i32,
    after: i64,
    limit: i64,
) -> Result<Vec<Missing>, sqlx::Error> {
    let statement = format!(
        "SELECT c.id, d.title, c.heading, c.content \
         FROM knowledge.chunk c JOIN knowledge.document d ON d.id = c.document_id \
         WHERE c.id > $1 AND NOT EXISTS (SELECT FROM {} e WHERE e.chunk_id = c.id) \
         ORDER BY c.id LIMIT $2",
        partition(model)
    );
    sqlx::query_as(AssertSqlSafe(statement)).bind(after).bind(limit).fetch_all(connection).await
}

/// How many chunks have a vector of a model.
///
/// # Errors
/// When the database does.
pub async fn count(connection: &mut PgConnection, model: i32) -> Result<i64, sqlx::Error> {
    let statement = format!("SELECT count(*) FROM {}", partition(model));
    sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(connection).await
}
