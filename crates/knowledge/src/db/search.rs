//! The queries of a search: what the words are worth, the two legs, the facts that ranking needs,
//! and the passages that are shown.
//!
//! They run on connections of their own, see [`pool`].

mod lexical;
mod semantic;

pub use lexical::lexical;
pub use semantic::{Path, semantic};

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use proto::{DocumentId, ProjectId, SourceId};
use sqlx::{Execute as _, FromRow, PgPool, Postgres, QueryBuilder, postgres::PgPoolOptions};
use uuid::Uuid;

use super::filter as sql;
use crate::{
    bm25::{CANDIDATES_MAX, Candidates, Ids, Term, Totals, any_of},
    filter::Filter,
    ranking::{Facts, PRIORITY_NEUTRAL},
};

/// Up to this many chunks that pass a filter are compared one by one; beyond, the index is asked
/// and goes on until enough of what it finds passes.
pub const EXACT_MAX: i64 = 20_000;

/// How long a search waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one query of a search may take, in milliseconds.
const STATEMENT_TIMEOUT_MS: &str = "10000";

/// What the planner and pgvector are told on every connection of [`pool`]:
/// - plans are made for the values at hand: a plan for any values misjudges filters and vectors;
/// - the index looks at 100 candidates, and at more while a filter leaves too few, in an order
///   that is near enough as the hits are sorted afterwards.
const SETTINGS: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_custom_plan"),
    ("hnsw.ef_search", "100"),
    ("hnsw.iterative_scan", "relaxed_order"),
    ("hnsw.max_scan_tuples", "40000"),
    ("statement_timeout", STATEMENT_TIMEOUT_MS),
];

/// Connections for searches alone, so that none waits behind documents that come in.
#[must_use]
pub fn pool(service: &PgPool, connections_max: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|connection, _| {
            Box::pin(async move {
                // pgvector only warns of a setting that it does not know, and then goes without:
                // loading it with a first value makes the answer true.
                let scan: String = sqlx::query_scalar(
                    "SELECT current_setting('hnsw.iterative_scan') WHERE '[1]'::halfvec IS NOT NULL",
                )
                .fetch_one(connection)
                .await?;
                if scan == "relaxed_order" {
                    return Ok(());
                }
                Err(sqlx::Error::Configuration("pgvector is older than 0.8: update it".into()))
            })
        })
        .connect_lazy_with((*service.connect_options()).clone().options(SETTINGS))
}

/// What a search has to know before it can begin.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// Moves on with every change that a result could show.
    pub epoch: i64,
    /// The model that is searched.
    pub model: Option<i32>,
    /// Sums over all chunks.
    pub totals: Totals,
    /// Sources whose documents are not to be found.
    pub disabled: Vec<Uuid>,
    /// The lexemes of the query.
    pub terms: Vec<Term>,
}

/// Reads it, with the lexemes of `query`.
///
/// # Errors
/// When the database does.
pub async fn corpus(pool: &PgPool, query: &str) -> Result<Corpus, sqlx::Error> {
    type Row = (i64, i64, i64, Option<i32>, Vec<Uuid>, Vec<String>, Vec<i64>);
    let (epoch, chunks, words, model, disabled, lexemes, counts): Row = sqlx::query_as(
        "SELECT s.epoch, s.chunks, s.words,
                (SELECT id FROM knowledge.embedding_model WHERE state = 'active'),
                ARRAY(SELECT source_id FROM knowledge.source_rank WHERE NOT enabled ORDER BY 1),
                coalesce(t.lexemes, '{}'), coalesce(t.counts, '{}')
         FROM (SELECT sum(epoch)::bigint AS epoch, sum(chunks)::bigint AS chunks,
                      sum(words)::bigint AS words FROM knowledge.corpus_stat) s,
              (SELECT array_agg(q.lexeme) AS lexemes,
                      array_agg(coalesce((SELECT chunks FROM knowledge.lexeme_stat
                                          WHERE lexeme = q.lexeme), 0)
                                + coalesce((SELECT sum(chunks)::bigint
                                            FROM knowledge.lexeme_delta
                                            WHERE lexeme = q.lexeme), 0)) AS counts
               FROM unnest(tsvector_to_array(to_tsvector('pg_catalog.english', $1)))
                   AS q (lexeme)) t",
    )
    .bind(query)
    .fetch_one(pool)
    .await?;
    let terms = lexemes.into_iter().zip(counts);
    let terms = terms.map(|(lexeme, chunks)| Term { lexeme, chunks }).collect();
    Ok(Corpus { epoch, model, totals: Totals { chunks, words }, disabled, terms })
}

/// Which chunks there are.
///
/// # Errors
/// When the database does.
pub async fn ids(pool: &PgPool) -> Result<Ids, sqlx::Error> {
    let (first, last) =
        sqlx::query_as("SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM knowledge.chunk")
            .fetch_one(pool)
            .await?;
    Ok(Ids { first, last })
}

/// How many chunks pass a filter; counted up to one more than [`EXACT_MAX`].
///
/// # Errors
/// When the database does.
pub async fn passing(pool: &PgPool, filter: &Filter) -> Result<i64, sqlx::Error> {
    let mut query = QueryBuilder::new("SELECT count(*) FROM (SELECT FROM knowledge.chunk c");
    push_filter(&mut query, filter);
    query.push(" LIMIT ").push_bind(EXACT_MAX + 1).push(") passing");
    query.build_query_scalar().persistent(false).fetch_one(pool).await
}

/// A query whose plan is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Explained<'a> {
    /// See [`lexical`].
    Lexical {
        /// All of them are searched for.
        terms: &'a [Term],
        /// What may be found.
        filter: &'a Filter,
    },
    /// See [`semantic`].
    Semantic {
        /// The model's row.
        model: i32,
        /// The query's vector.
        vector: &'a [f32],
        /// What may be found.
        filter: &'a Filter,
        /// How.
        path: Path,
    },
}

/// The plan that Postgres makes for a query, as text: what a test of the indexes reads.
///
/// # Errors
/// When the database does.
pub async fn explain(pool: &PgPool, query: Explained<'_>) -> Result<String, sqlx::Error> {
    let mut query = match query {
        Explained::Lexical { terms, filter } => {
            let candidates = Candidates {
                matching: any_of(terms),
                but: None,
                since: None,
                limit: CANDIDATES_MAX,
            };
            lexical::query(terms, &candidates, filter)
        }
        Explained::Semantic { model, vector, filter, path } => {
            semantic::query(model, vector, filter, path, 100)
        }
    };
    let statement = format!("EXPLAIN {}", query.sql().as_str());
    let arguments = query.build().take_arguments();
    let lines: Vec<String> = sqlx::query_scalar_with(
        sqlx::AssertSqlSafe(statement),
        arguments.ok().flatten().unwrap_or_default(),
    )
    .persistent(false)
    .fetch_all(pool)
    .await?;
    Ok(lines.join("\n"))
}

fn push_filter(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    if filter.describes() {
        query.push(" JOIN knowledge.document d ON d.id = c.document_id");
    }
    query.push(" WHERE true");
    sql::placement(query, "c", filter);
    sql::description(query, "d", filter);
}

/// What ranking needs to know of candidates, by chunk. Those that are gone meanwhile are missing.
///
/// # Errors
/// When the database does.
pub async fn facts(pool: &PgPool, chunks: &[i64]) -> Result<HashMap<i64, Facts>, sqlx::Error> {
    type Row = (i64, i64, ProjectId, Option<i16>, Option<DateTime<Utc>>, i64);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT c.id, c.document_id, c.project_id, s.priority,
                coalesce(d.published_at, d.updated_at), c.text_hash
         FROM knowledge.chunk c
         JOIN knowledge.document d ON d.id = c.document_id
         LEFT JOIN knowledge.source_rank s ON s.source_id = c.source_id
         WHERE c.id = ANY($1) AND coalesce(s.enabled, true)",
    )
    .bind(chunks)
    .fetch_all(pool)
    .await?;
    let facts = |(chunk, document, project, priority, published_at, text_hash): Row| {
        let priority = priority.map_or(PRIORITY_NEUTRAL, |priority| priority as u8);
        (chunk, Facts { document, project, priority, published_at, text_hash })
    };
    Ok(rows.into_iter().map(facts).collect())
}

/// A passage as it is shown.
#[derive(Debug, Clone, FromRow)]
pub struct Shown {
    /// The chunk's row.
    pub id: i64,
    /// Its place in the document.
    pub ordinal: i32,
    /// Its headings.
    pub heading: String,
    /// Its text.
    pub content: String,
    /// The document.
    pub document_id: DocumentId,
    /// Its project.
    pub project_id: ProjectId,
    /// Its source.
    pub source_id: SourceId,
    /// The source's name as it is now.
    pub source_name: String,
    /// The source's kind.
    pub source_kind: String,
    /// The document's title.
    pub title: String,
    /// Where a person can read it.
    pub url: String,
    /// Who wrote it.
    pub authors: Vec<String>,
    /// What it is filed under.
    pub tags: Vec<String>,
    /// As the source says.
    pub published_at: Option<DateTime<Utc>>,
}

impl Shown {
    /// What its texts take in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let labels = self.authors.iter().chain(&self.tags).map(String::len);
        self.content.len()
            + self.heading.len()
            + self.title.len()
            + self.url.len()
            + labels.sum::<usize>()
    }
}

/// The passages of chunks, by chunk.
///
/// # Errors
/// When the database does.
pub async fn shown(pool: &PgPool, chunks: &[i64]) -> Result<HashMap<i64, Shown>, sqlx::Error> {
    let rows: Vec<Shown> = sqlx::query_as(
        "SELECT c.id, c.ordinal, c.heading, c.content, d.public_id AS document_id, d.project_id,
                d.source_id, coalesce(s.name, d.source_name) AS source_name, d.source_kind,
                d.title, d.url, d.authors, d.tags, d.published_at
         FROM knowledge.chunk c
         JOIN knowledge.document d ON d.id = c.document_id
         LEFT JOIN knowledge.source_rank s ON s.source_id = c.source_id
         WHERE c.id = ANY($1)",
    )
    .bind(chunks)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|shown| (shown.id, shown)).collect())
}
