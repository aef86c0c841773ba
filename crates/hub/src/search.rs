//! Search: ranked passages with citations.

use chrono::{DateTime, Utc};
use proto::{Failure, knowledge::v1 as wire, time::from_wire};
use serde::{Deserialize, Deserializer, Serialize};
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

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SearchAnswer {
    /// Best first.
    pub(crate) results: Vec<SearchResult>,
    /// Which embedder is at work.
    pub(crate) embedder: Embedder,
    /// How long knowledge took, in milliseconds.
    pub(crate) duration_ms: f64,
    /// `hit`, `miss`, `coalesced` or `bypass`.
    pub(crate) cache: String,
}

/// A passage, and where it comes from.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SearchResult {
    /// The document's title.
    pub(crate) title: String,
    /// The document's address; may be empty.
    pub(crate) url: String,
    /// The passage.
    pub(crate) text: String,
    /// Larger is better; comparable within one answer.
    pub(crate) score: f64,
    /// The name of its source.
    pub(crate) source: String,
    /// The id of its source.
    pub(crate) source_id: String,
    /// The kind of its source.
    pub(crate) source_kind: String,
    /// The id of its document.
    pub(crate) document_id: String,
    /// The slug of its project.
    pub(crate) project: String,
    /// The id of its project.
    pub(crate) project_id: String,
    /// Its place in the document: `Guide > Install > Linux`.
    pub(crate) heading: String,
    /// Byte ranges of `text` that match words of the query.
    pub(crate) highlights: Vec<Span>,
    /// When the document says that it was published.
    pub(crate) published_at: Option<DateTime<Utc>>,
    /// The document's authors.
    pub(crate) authors: Vec<String>,
    /// The document's tags.
    pub(crate) tags: Vec<String>,
    /// Other documents with the same text.
    pub(crate) also_in: Vec<AlsoIn>,
    /// How the score came about, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) explain: Option<Explanation>,
}

/// A range of bytes.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct Span {
    /// The first byte.
    pub(crate) start: u32,
    /// The byte after the last.
    pub(crate) end: u32,
}

/// Another document with the same text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlsoIn {
    /// Its id.
    pub(crate) document_id: String,
    /// Its title.
    pub(crate) title: String,
    /// Its address.
    pub(crate) url: String,
    /// The name of its source.
    pub(crate) source: String,
}

/// How a score came about. Ranks count from 1; 0 means that the leg did not find it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Explanation {
    /// Rank by words.
    pub(crate) lexical_rank: u32,
    /// Rank by meaning.
    pub(crate) semantic_rank: u32,
    /// BM25.
    pub(crate) lexical_score: f64,
    /// Cosine similarity.
    pub(crate) semantic_similarity: f64,
    /// Both, fused by reciprocal rank.
    pub(crate) fused_score: f64,
    /// What the source's priority multiplies.
    pub(crate) priority_factor: f64,
    /// What recency multiplies.
    pub(crate) recency_factor: f64,
    /// The source's priority.
    pub(crate) priority: u32,
}

/// What turns text into vectors.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub(crate) struct Embedder {
    /// `local`, `openai` or `hash`.
    pub(crate) provider: String,
    /// The model's name.
    pub(crate) name: String,
    /// Numbers in a vector.
    pub(crate) dimensions: u32,
    /// False: it knows words, not meaning.
    pub(crate) semantic: bool,
}

impl From<wire::Embedder> for Embedder {
    fn from(embedder: wire::Embedder) -> Self {
        Self {
            provider: embedder.provider,
            name: embedder.name,
            dimensions: embedder.dimensions,
            semantic: embedder.semantic,
        }
    }
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

impl SearchResult {
    fn new(result: wire::SearchResult, names: &Names) -> Self {
        Self {
            project: names.slug(&result.project_id),
            published_at: result.published_at.as_ref().and_then(from_wire),
            highlights: result
                .highlights
                .iter()
                .map(|span| Span { start: span.start, end: span.end })
                .collect(),
            also_in: result.also_in.into_iter().map(AlsoIn::from).collect(),
            explain: result.explanation.map(Explanation::from),
            title: result.title,
            url: result.url,
            text: result.text,
            score: result.score,
            source: result.source_name,
            source_id: result.source_id,
            source_kind: result.source_kind,
            document_id: result.document_id,
            project_id: result.project_id,
            heading: result.heading,
            authors: result.authors,
            tags: result.tags,
        }
    }
}

impl From<wire::AlsoIn> for AlsoIn {
    fn from(also: wire::AlsoIn) -> Self {
        Self {
            document_id: also.document_id,
            title: also.title,
            url: also.url,
            source: also.source_name,
        }
    }
}

impl From<wire::Explanation> for Explanation {
    fn from(explanation: wire::Explanation) -> Self {
        Self {
            lexical_rank: explanation.lexical_rank,
            semantic_rank: explanation.semantic_rank,
            lexical_score: explanation.lexical_score,
            semantic_similarity: explanation.semantic_similarity,
            fused_score: explanation.fused_score,
            priority_factor: explanation.priority_factor,
            recency_factor: explanation.recency_factor,
            priority: explanation.priority,
        }
    }
}
