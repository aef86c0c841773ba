//! What a search finds, as REST shows it.

use chrono::{DateTime, Utc};
use proto::{knowledge::v1 as wire, time::from_wire};
use serde::Serialize;
use utoipa::ToSchema;

use crate::projects::Names;

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

impl SearchResult {
    /// From the wire, with its project's slug.
    pub(crate) fn new(result: wire::SearchResult, names: &Names) -> Self {
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
