//! Search: ranked passages with citations.

mod model;

pub(crate) use model::{Embedder, SearchAnswer, SearchResult, Span};

use proto::{Failure, knowledge::v1 as wire};
use serde::{Deserialize, Deserializer};
use utoipa::{IntoParams, ToSchema};

use crate::{
    app::App,
    clients::{KNOWLEDGE, refused},
    documents::Filter,
    identity::Identity,
    projects::Names,
};

/// A question.
#[derive(Debug, Clone, Default, Deserialize, ToSchema, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Search {
    /// The words, at most 1,000 characters; `query` does the same.
    pub(crate) q: String,
    /// The words.
    pub(crate) query: String,
    /// Ids or slugs of projects; none means all that the caller sees.
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) project: Vec<String>,
    /// Ids or names of sources.
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) source: Vec<String>,
    /// Kinds of sources: `feed`, `manual`, …
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) kind: Vec<String>,
    /// Authors.
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) author: Vec<String>,
    /// Tags.
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) tag: Vec<String>,
    /// Published (or first seen) at or after: RFC 3339, or a day.
    pub(crate) since: Option<String>,
    /// Published (or first seen) before: RFC 3339, or a day.
    pub(crate) until: Option<String>,
    /// 1 to 100; 10 when absent.
    pub(crate) limit: Option<u32>,
    /// `off` shows each of several documents with the same text.
    pub(crate) collapse: Option<String>,
    /// True: each result says how its score came about.
    pub(crate) explain: bool,
    /// `hybrid`, `lexical` or `semantic`.
    pub(crate) mode: Option<String>,
    /// 0 to 0.15: how much newer documents gain.
    pub(crate) recency: Option<f64>,
    /// Passages a document, 1 to 10; 1 when absent.
    pub(crate) passages: Option<u32>,
}

/// A program may send one value where several are possible.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Given::deserialize(deserializer)? {
        Given::One(value) => vec![value],
        Given::Many(values) => values,
    })
}

/// The passages that answer best.
pub(crate) async fn search(
    app: &App,
    who: &Identity,
    search: Search,
) -> Result<SearchAnswer, Failure> {
    let names = Names::load(app, who).await?;
    let request = into_wire(app, who, &names, search).await?;
    let answer = app.clients.knowledge(who)?.search(request).await;
    let answer = answer.map_err(refused(KNOWLEDGE))?.into_inner();
    Ok(SearchAnswer {
        results: answer.results.into_iter().map(|r| SearchResult::new(r, &names)).collect(),
        embedder: answer.embedder.unwrap_or_default().into(),
        duration_ms: answer.duration_ms,
        cache: answer.cache,
    })
}

async fn into_wire(
    app: &App,
    who: &Identity,
    names: &Names,
    search: Search,
) -> Result<wire::SearchRequest, Failure> {
    use wire::search_request::{Collapse, Mode};
    let query = if search.q.trim().is_empty() { search.query } else { search.q };
    if query.trim().is_empty() {
        return Err(Failure::invalid("q", "q is empty: say what to search for"));
    }
    let collapse = match search.collapse.as_deref() {
        None | Some("" | "on" | "same_text") => Collapse::SameText,
        Some("off") => Collapse::Off,
        Some(other) => return Err(not_one_of("collapse", other, "on or off")),
    };
    let mode = match search.mode.as_deref() {
        None | Some("" | "hybrid") => Mode::Hybrid,
        Some("lexical") => Mode::Lexical,
        Some("semantic") => Mode::Semantic,
        Some(other) => return Err(not_one_of("mode", other, "hybrid, lexical or semantic")),
    };
    if search.limit == Some(0) {
        return Err(Failure::invalid("limit", "limit is 1 to 100, not 0"));
    }
    let filter = Filter {
        project: search.project,
        source: search.source,
        kind: search.kind,
        author: search.author,
        tag: search.tag,
        since: search.since,
        until: search.until,
    };
    Ok(wire::SearchRequest {
        query,
        filter: Some(filter.into_wire(app, who, names).await?),
        limit: search.limit.unwrap_or(0),
        collapse: collapse.into(),
        explain: search.explain,
        recency_weight: search.recency.unwrap_or(0.0),
        mode: mode.into(),
        passages_per_document: search.passages.unwrap_or(0),
    })
}

fn not_one_of(field: &str, got: &str, choices: &str) -> Failure {
    Failure::invalid(field, format!("{field} is {choices}, not {got:?}"))
}
