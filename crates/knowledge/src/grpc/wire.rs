//! The wire's types and ours, both ways.

use chassis::caller::Caller;
use chrono::{DateTime, Utc};
use proto::{Failure, ProjectId, Reason, SourceId, knowledge::v1 as api, time::to_wire};

use crate::{
    db::{document::Document, embedding_model::Model, search::Shown, source_rank::SourceRank},
    embed::ModelSpec,
    filter::{Filter, VALUES_MAX},
    ranking::RECENCY_WEIGHT_MAX,
    search::{Found, Mode, Query},
    submission::{self, LABEL_BYTES_MAX},
};

/// A question, in characters.
const QUERY_CHARS_MAX: usize = 1_000;
/// Results, at most, and when nobody says.
const LIMIT_MAX: u32 = 100;
const LIMIT_DEFAULT: u32 = 10;
/// Passages of one document, at most, and when nobody says.
const PASSAGES_MAX: u32 = 10;
const PASSAGES_DEFAULT: u32 = 1;

/// Checks a search and narrows it to what the caller may read.
pub(super) fn query(request: api::SearchRequest, caller: &Caller) -> Result<Query, Failure> {
    let text = request.query.trim();
    let length = text.chars().count();
    if text.is_empty() {
        return Err(Failure::invalid("query", "query is empty: say what to look for"));
    }
    if length > QUERY_CHARS_MAX {
        let message = format!("query has {length} characters and {QUERY_CHARS_MAX} is the limit");
        return Err(Failure::new(Reason::TooLarge, message.clone()).violation("query", message));
    }
    if text.contains('\0') {
        return Err(Failure::invalid("query", "query has a NUL character: remove it"));
    }
    let recency = request.recency_weight;
    if !(0.0..=RECENCY_WEIGHT_MAX).contains(&recency) {
        let message = format!("recency_weight is {recency}: send 0 to {RECENCY_WEIGHT_MAX}");
        return Err(Failure::invalid("recency_weight", message));
    }
    let mode = match request.mode() {
        api::search_request::Mode::Unspecified | api::search_request::Mode::Hybrid => Mode::Hybrid,
        api::search_request::Mode::Lexical => Mode::Lexical,
        api::search_request::Mode::Semantic => Mode::Semantic,
    };
    let passages = request.passages_per_document;
    Ok(Query {
        text: text.to_owned(),
        limit: amount("limit", request.limit, LIMIT_DEFAULT, LIMIT_MAX)? as usize,
        per_document: amount("passages_per_document", passages, PASSAGES_DEFAULT, PASSAGES_MAX)?
            as usize,
        collapse: request.collapse() != api::search_request::Collapse::Off,
        recency_e4: (recency * 1e4).round() as u32,
        mode,
        filter: filter(request.filter.unwrap_or_default(), caller)?,
    })
}

/// Checks a filter and narrows it to what the caller may read.
pub(super) fn filter(filter: api::Filter, caller: &Caller) -> Result<Filter, Failure> {
    let lists = [
        ("project_ids", &filter.project_ids),
        ("source_ids", &filter.source_ids),
        ("kinds", &filter.kinds),
        ("authors", &filter.authors),
        ("tags", &filter.tags),
    ];
    for (field, values) in lists {
        at_most(field, values.len(), VALUES_MAX)?;
        if values.iter().any(|value| value.contains('\0')) {
            return Err(Failure::invalid(field, format!("{field} has a NUL character")));
        }
        let longest = values.iter().map(String::len).max().unwrap_or_default();
        if longest > LABEL_BYTES_MAX {
            let message = format!(
                "{field} has a value of {longest} bytes and {LABEL_BYTES_MAX} is the limit: \
                 nothing is stored under a longer one"
            );
            return Err(Failure::new(Reason::TooLarge, message.clone()).violation(field, message));
        }
    }
    let asked: Vec<ProjectId> = filter
        .project_ids
        .iter()
        .map(|id| ProjectId::parse("project_ids", id))
        .collect::<Result<_, _>>()?;
    let sources: Vec<SourceId> = filter
        .source_ids
        .iter()
        .map(|id| SourceId::parse("source_ids", id))
        .collect::<Result<_, _>>()?;
    let projects = caller.readable(&asked);
    Ok(Filter {
        projects: projects.map(|ids| sorted(ids.into_iter().map(|id| id.0).collect())),
        sources: sorted(sources.into_iter().map(|id| id.0).collect()),
        sources_not: Vec::new(),
        kinds: sorted(filter.kinds),
        authors: sorted(filter.authors),
        tags: sorted(filter.tags),
        since: submission::time("since", filter.since.as_ref())?,
        until: submission::time("until", filter.until.as_ref())?,
    })
}

/// A source's rank, checked.
pub(super) fn source_rank(request: api::SetSourceRankRequest) -> Result<SourceRank, Failure> {
    let priority = i16::try_from(request.priority).ok().filter(|p| (1..=10).contains(p));
    for (field, value) in [("name", &request.name), ("kind", &request.kind)] {
        if value.contains('\0') || value.len() > submission::FIELD_BYTES_MAX {
            let max = submission::FIELD_BYTES_MAX;
            let message = format!("{field} has a NUL character or more than {max} bytes");
            return Err(Failure::invalid(field, message));
        }
    }
    Ok(SourceRank {
        source: SourceId::parse("source_id", &request.source_id)?,
        project: ProjectId::parse("project_id", &request.project_id)?,
        priority: priority.ok_or_else(|| {
            let sent = request.priority;
            Failure::invalid("priority", format!("priority is {sent}: send 1 to 10"))
        })?,
        name: request.name,
        kind: request.kind,
        enabled: request.enabled,
        version: request.version,
    })
}

/// A number where 0 stands for the default.
pub(super) fn amount(field: &str, sent: u32, default: u32, max: u32) -> Result<u32, Failure> {
    match sent {
        0 => Ok(default),
        sent if sent <= max => Ok(sent),
        sent => Err(Failure::invalid(field, format!("{field} is {sent}: send 1 to {max}"))),
    }
}

/// Refuses a list that is too long.
pub(super) fn at_most(field: &str, count: usize, max: usize) -> Result<(), Failure> {
    if count <= max {
        return Ok(());
    }
    let message = format!("{field} has {count} entries and {max} is the limit: send fewer");
    Err(Failure::new(Reason::TooLarge, message.clone()).violation(field, message))
}

/// One result.
pub(super) fn result(found: &Found, explain: bool, lexical_cut: bool) -> api::SearchResult {
    let Found { ranked, shown, highlights, also_in } = found;
    api::SearchResult {
        document_id: shown.document_id.to_string(),
        title: shown.title.clone(),
        url: shown.url.clone(),
        text: shown.content.clone(),
        score: ranked.score,
        source_id: shown.source_id.to_string(),
        source_name: shown.source_name.clone(),
        source_kind: shown.source_kind.clone(),
        project_id: shown.project_id.to_string(),
        heading: shown.heading.clone(),
        authors: shown.authors.clone(),
        tags: shown.tags.clone(),
        published_at: shown.published_at.map(to_wire),
        highlights: highlights
            .iter()
            .map(|span| api::Span { start: span.start as u32, end: span.end as u32 })
            .collect(),
        also_in: also_in.iter().map(also).collect(),
        explanation: explain.then(|| explanation(found, lexical_cut)),
        chunk_ordinal: shown.ordinal as u32,
    }
}

fn also(shown: &Shown) -> api::AlsoIn {
    api::AlsoIn {
        document_id: shown.document_id.to_string(),
        title: shown.title.clone(),
        url: shown.url.clone(),
        source_name: shown.source_name.clone(),
    }
}

fn explanation(found: &Found, lexical_cut: bool) -> api::Explanation {
    let ranked = &found.ranked;
    let (lexical, semantic) = (ranked.fused.lexical, ranked.fused.semantic);
    api::Explanation {
        lexical_rank: lexical.map_or(0, |place| place.rank),
        semantic_rank: semantic.map_or(0, |place| place.rank),
        lexical_score: lexical.map_or(0.0, |place| place.score),
        semantic_similarity: semantic.map_or(0.0, |place| place.score),
        fused_score: ranked.fused.score,
        priority_factor: ranked.priority_factor,
        recency_factor: ranked.recency_factor,
        priority: u32::from(ranked.facts.priority),
        lexical_cut,
    }
}

/// A document.
pub(super) fn document(document: Document) -> api::Document {
    let wire = |time: Option<DateTime<Utc>>| time.map(to_wire);
    api::Document {
        id: document.public_id.to_string(),
        project_id: document.project_id.to_string(),
        source_id: document.source_id.to_string(),
        source_name: document.source_name,
        source_kind: document.source_kind,
        external_id: document.external_id,
        title: document.title,
        url: document.url,
        text: document.text,
        authors: document.authors,
        tags: document.tags,
        published_at: wire(document.published_at),
        updated_at: wire(document.updated_at),
        ingested_at: Some(to_wire(document.ingested_at)),
        revision: document.revision as u32,
        searchable: document.indexed_revision > 0,
        chunks: document.chunks as u32,
        language: document.language,
    }
}

/// A model that has vectors.
pub(super) fn model(model: &Model) -> api::Embedder {
    api::Embedder {
        provider: model.provider.clone(),
        name: model.name.clone(),
        dimensions: model.dimensions as u32,
        semantic: model.semantic,
    }
}

/// An embedder that is at work.
pub(super) fn embedder(spec: &ModelSpec) -> api::Embedder {
    api::Embedder {
        provider: spec.provider.clone(),
        name: spec.name.clone(),
        dimensions: spec.dim as u32,
        semantic: spec.semantic,
    }
}

fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort_unstable();
    values.dedup();
    values
}
