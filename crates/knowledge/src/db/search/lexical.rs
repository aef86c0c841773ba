//! The leg of words.

use sqlx::{PgPool, Postgres, QueryBuilder, Row as _, postgres::PgRow};

use super::push_filter;
use crate::{
    bm25::{CANDIDATES_MAX, Match, TERMS_MAX, Term, any_of, quoted},
    filter::Filter,
};

/// Chunks that hold any of the first `searched` terms, with what scoring all terms needs.
///
/// # Errors
/// When the database does.
pub async fn lexical(
    pool: &PgPool,
    terms: &[Term],
    searched: usize,
    filter: &Filter,
) -> Result<Vec<Match>, sqlx::Error> {
    let mut built = query(terms, searched, filter);
    let rows = built.build().persistent(false).fetch_all(pool).await?;
    rows.iter().map(|row| read_match(row, terms.len())).collect()
}

pub(super) fn query(terms: &[Term], searched: usize, filter: &Filter) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("SELECT c.id, c.words");
    for term in terms.iter().take(TERMS_MAX) {
        query.push(", ts_rank('{1,1,1,1}', c.tsv, ").push_bind(quoted(&term.lexeme));
        query.push("::text::tsquery)");
    }
    query.push(" FROM knowledge.chunk c");
    push_filter(&mut query, filter);
    query.push(" AND c.tsv @@ ").push_bind(any_of(&terms[..searched]));
    query.push("::text::tsquery LIMIT ").push_bind(CANDIDATES_MAX as i64);
    query
}

fn read_match(row: &PgRow, terms: usize) -> Result<Match, sqlx::Error> {
    let mut ranks = [0.0; TERMS_MAX];
    for (term, rank) in ranks.iter_mut().enumerate().take(terms) {
        *rank = row.try_get(term + 2)?;
    }
    Ok(Match { chunk: row.try_get(0)?, words: row.try_get(1)?, ranks })
}
