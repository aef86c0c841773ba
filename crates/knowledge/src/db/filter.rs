//! A [`Filter`] in SQL.

use sqlx::{Encode, Postgres, QueryBuilder, Type, postgres::PgHasArrayType};

use crate::filter::Filter;

/// Adds ` AND …` on columns that `chunk` and `document` have alike.
pub(super) fn placement(query: &mut QueryBuilder<Postgres>, alias: &'static str, filter: &Filter) {
    if let Some(projects) = &filter.projects {
        any(query, alias, ".project_id = ANY(", projects);
    }
    if !filter.sources.is_empty() {
        any(query, alias, ".source_id = ANY(", &filter.sources);
    }
    if !filter.sources_not.is_empty() {
        any(query, alias, ".source_id <> ALL(", &filter.sources_not);
    }
}

/// Adds ` AND …` on columns that only `document` has.
pub(super) fn description(
    query: &mut QueryBuilder<Postgres>,
    alias: &'static str,
    filter: &Filter,
) {
    if !filter.kinds.is_empty() {
        any(query, alias, ".source_kind = ANY(", &filter.kinds);
    }
    if !filter.authors.is_empty() {
        any(query, alias, ".authors && (", &filter.authors);
    }
    if !filter.tags.is_empty() {
        any(query, alias, ".tags && (", &filter.tags);
    }
    if let Some(since) = filter.since {
        query.push(" AND ").push(alias).push(".dated_at >= ").push_bind(since);
    }
    if let Some(until) = filter.until {
        query.push(" AND ").push(alias).push(".dated_at < ").push_bind(until);
    }
}

fn any<T>(query: &mut QueryBuilder<Postgres>, alias: &'static str, test: &'static str, values: &[T])
where
    T: Clone + for<'q> Encode<'q, Postgres> + Type<Postgres> + PgHasArrayType + 'static,
{
    query.push(" AND ").push(alias).push(test).push_bind(values.to_vec()).push(")");
}
