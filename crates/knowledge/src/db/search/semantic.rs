//! The leg of vectors.

use sqlx::{PgPool, Postgres, QueryBuilder};

use super::push_filter;
use crate::{db::embedding_model::partition, filter::Filter, fusion::Hit};

/// How the nearest vectors are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// By the index, which goes on until enough neighbours pass the filter.
    Index,
    /// By comparing everything that passes the filter.
    Exact,
}

/// The nearest chunks by cosine.
///
/// # Errors
/// When the database does.
pub async fn semantic(
    pool: &PgPool,
    model: i32,
    vector: &[f32],
    filter: &Filter,
    path: Path,
    limit: i64,
) -> Result<Vec<Hit>, sqlx::Error> {
    let mut built = query(model, vector, filter, path, limit);
    let rows: Vec<(i64, f64)> = built.build_query_as().persistent(false).fetch_all(pool).await?;
    let hit = |(chunk, distance)| Hit { chunk, score: 1.0 - distance };
    Ok(rows.into_iter().map(hit).collect())
}

pub(super) fn query(
    model: i32,
    vector: &[f32],
    filter: &Filter,
    path: Path,
    limit: i64,
) -> QueryBuilder<Postgres> {
    match path {
        Path::Index => index_query(model, vector, filter, limit),
        Path::Exact => exact_query(model, vector, filter, limit),
    }
}

fn index_query(model: i32, vector: &[f32], filter: &Filter, limit: i64) -> QueryBuilder<Postgres> {
    let dimensions = vector.len();
    // The very expression of the index; another spelling of it would be a scan of everything.
    let distance = format!("e.embedding::halfvec({dimensions}) <=> ");
    let operand = format!("::real[]::halfvec({dimensions})");
    let mut query = QueryBuilder::new("SELECT e.chunk_id, ");
    query.push(&distance).push_bind(vector.to_vec()).push(&operand);
    query.push(" FROM ").push(partition(model)).push(" e");
    if !filter.is_open() {
        query.push(" JOIN knowledge.chunk c ON c.id = e.chunk_id");
        push_filter(&mut query, filter);
    }
    query.push(" ORDER BY 2 LIMIT ").push_bind(limit);
    query
}

fn exact_query(model: i32, vector: &[f32], filter: &Filter, limit: i64) -> QueryBuilder<Postgres> {
    let mut query =
        QueryBuilder::new("WITH passing AS MATERIALIZED (SELECT c.id FROM knowledge.chunk c");
    push_filter(&mut query, filter);
    // Without the cast to the index's type, so that no plan can use it and miss some.
    query.push(") SELECT e.chunk_id, e.embedding <=> ").push_bind(vector.to_vec());
    query.push("::real[]::halfvec AS distance FROM passing p JOIN ").push(partition(model));
    query.push(" e ON e.chunk_id = p.id ORDER BY distance, e.chunk_id LIMIT ").push_bind(limit);
    query
}
