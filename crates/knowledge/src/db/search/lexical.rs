//! The leg of words.

use sqlx::{PgPool, Postgres, QueryBuilder, Row as _, postgres::PgRow};

use super::push_filter;
use crate::{
    bm25::{CANDIDATES_MAX, Match, TERMS_MAX, Term, all_of, any_of, quoted},
    filter::Filter,
};

/// Newest first, by the index of ids when that is the cheapest way: a word in every third chunk.
const NEWEST: &str = " ORDER BY c.id DESC";

/// Newest first among what the index of words finds: no plan reads chunk after chunk for words that
/// few hold together, or in a project whose chunks are old.
const MATCHING: &str = " ORDER BY c.id + 0 DESC";

/// Chunks that hold any of the first `searched` terms, the newest, with what scoring all terms
/// needs. When `many` are expected, half of them hold all terms, if there are as many: the best
/// are among these.
///
/// # Errors
/// When the database does.
pub async fn lexical(
    pool: &PgPool,
    terms: &[Term],
    searched: usize,
    many: bool,
    filter: &Filter,
) -> Result<Vec<Match>, sqlx::Error> {
    let mut built = query(terms, searched, many, filter);
    let rows = built.build().persistent(false).fetch_all(pool).await?;
    rows.iter().map(|row| read_match(row, terms.len())).collect()
}

pub(super) fn query(
    terms: &[Term],
    searched: usize,
    many: bool,
    filter: &Filter,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("SELECT c.id, c.words");
    for term in terms.iter().take(TERMS_MAX) {
        query.push(", ts_rank('{1,1,1,1}', c.tsv, ").push_bind(quoted(&term.lexeme));
        query.push("::text::tsquery)");
    }
    // The ranks are computed outside, for the candidates alone.
    query.push(" FROM (");
    let any = any_of(&terms[..searched]);
    if many && terms.len() > 1 {
        let all = all_of(terms);
        let half = CANDIDATES_MAX / 2;
        candidates(&mut query, filter, &all, None, MATCHING, half);
        query.push(" UNION ALL ");
        let order = if filter.is_open() { NEWEST } else { MATCHING };
        candidates(&mut query, filter, &any, Some(&all), order, half);
    } else {
        let order = if many && filter.is_open() { NEWEST } else { MATCHING };
        candidates(&mut query, filter, &any, None, order, CANDIDATES_MAX);
    }
    query.push(") c");
    query
}

/// The newest chunks that match, so that what is searched for again is found again.
fn candidates(
    query: &mut QueryBuilder<Postgres>,
    filter: &Filter,
    matching: &str,
    but: Option<&str>,
    order: &'static str,
    limit: usize,
) {
    query.push("(SELECT c.id, c.words, c.tsv FROM knowledge.chunk c");
    push_filter(query, filter);
    query.push(" AND c.tsv @@ ").push_bind(matching.to_owned()).push("::text::tsquery");
    if let Some(but) = but {
        query.push(" AND NOT c.tsv @@ ").push_bind(but.to_owned()).push("::text::tsquery");
    }
    query.push(order).push(" LIMIT ").push_bind(limit as i64).push(")");
}

fn read_match(row: &PgRow, terms: usize) -> Result<Match, sqlx::Error> {
    let mut ranks = [0.0; TERMS_MAX];
    for (term, rank) in ranks.iter_mut().enumerate().take(terms) {
        *rank = row.try_get(term + 2)?;
    }
    Ok(Match { chunk: row.try_get(0)?, words: row.try_get(1)?, ranks })
}
