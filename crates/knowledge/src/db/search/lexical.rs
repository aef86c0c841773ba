//! The leg of words.

use sqlx::{PgPool, Postgres, QueryBuilder, Row as _, postgres::PgRow};

use super::push_filter;
use crate::{
    bm25::{CANDIDATES_MAX, Candidates, Match, TERMS_MAX, Term, Wanted, quoted},
    filter::Filter,
};

/// Passages with what scoring all terms needs: of common words those that hold all, then those
/// that hold any of the rarest, the newest of each.
///
/// # Errors
/// When the database does.
pub async fn lexical(
    pool: &PgPool,
    wanted: &Wanted<'_>,
    filter: &Filter,
) -> Result<Vec<Match>, sqlx::Error> {
    let mut found = match wanted.all() {
        Some(all) => newest(pool, wanted.terms, all, filter).await?,
        None => Vec::new(),
    };
    if found.len() < CANDIDATES_MAX {
        let any = wanted.any(found.len());
        found.append(&mut newest(pool, wanted.terms, any, filter).await?);
    }
    Ok(found)
}

async fn newest(
    pool: &PgPool,
    terms: &[Term],
    mut candidates: Candidates,
    filter: &Filter,
) -> Result<Vec<Match>, sqlx::Error> {
    let mut found = fetch(pool, terms, &candidates, filter).await?;
    if candidates.is_short(found.len()) {
        candidates.since = None;
        found = fetch(pool, terms, &candidates, filter).await?;
    }
    Ok(found)
}

async fn fetch(
    pool: &PgPool,
    terms: &[Term],
    candidates: &Candidates,
    filter: &Filter,
) -> Result<Vec<Match>, sqlx::Error> {
    let mut built = query(terms, candidates, filter);
    let rows = built.build().persistent(false).fetch_all(pool).await?;
    rows.iter().map(|row| read_match(row, terms.len())).collect()
}

pub(super) fn query(
    terms: &[Term],
    candidates: &Candidates,
    filter: &Filter,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("SELECT c.id, c.words");
    for term in terms.iter().take(TERMS_MAX) {
        query.push(", ts_rank('{1,1,1,1}', c.tsv, ").push_bind(quoted(&term.lexeme));
        query.push("::text::tsquery)");
    }
    // The ranks are computed outside, for the candidates alone.
    query.push(" FROM (SELECT c.id, c.words, c.tsv FROM knowledge.chunk c");
    push_filter(&mut query, filter);
    query.push(" AND c.tsv @@ ").push_bind(candidates.matching.clone()).push("::text::tsquery");
    if let Some(but) = &candidates.but {
        query.push(" AND NOT c.tsv @@ ").push_bind(but.clone()).push("::text::tsquery");
    }
    // A literal, so that the planner knows how much is left and joins both indexes.
    if let Some(since) = candidates.since {
        query.push(format_args!(" AND c.id >= {since}"));
    }
    // The sum keeps Postgres from reading chunk after chunk by the index of ids for words that few
    // hold together.
    query.push(" ORDER BY c.id + 0 DESC LIMIT ").push_bind(candidates.limit as i64).push(") c");
    query
}

fn read_match(row: &PgRow, terms: usize) -> Result<Match, sqlx::Error> {
    let mut ranks = [0.0; TERMS_MAX];
    for (term, rank) in ranks.iter_mut().enumerate().take(terms) {
        *rank = row.try_get(term + 2)?;
    }
    Ok(Match { chunk: row.try_get(0)?, words: row.try_get(1)?, ranks })
}
