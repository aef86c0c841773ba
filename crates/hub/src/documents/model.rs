//! Documents as REST shows them.

use chrono::{DateTime, Utc};
use proto::{knowledge::v1 as wire, time::from_wire};
use serde::Serialize;
use utoipa::ToSchema;

use crate::projects::Names;

/// A document.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Document {
    /// Its id.
    pub(crate) id: String,
    /// The slug of its project.
    pub(crate) project: String,
    /// The id of its project.
    pub(crate) project_id: String,
    /// The name of its source.
    pub(crate) source: String,
    /// The id of its source.
    pub(crate) source_id: String,
    /// The kind of its source.
    pub(crate) source_kind: String,
    /// Its name in its source.
    pub(crate) external_id: String,
    /// Its title.
    pub(crate) title: String,
    /// Where it lies on the web; may be empty.
    pub(crate) url: String,
    /// Markdown; left out in lists.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) text: String,
    /// Its authors.
    pub(crate) authors: Vec<String>,
    /// Its tags.
    pub(crate) tags: Vec<String>,
    /// When it says that it was published.
    pub(crate) published_at: Option<DateTime<Utc>>,
    /// When it says that it was changed.
    pub(crate) updated_at: Option<DateTime<Utc>>,
    /// When this revision came in.
    pub(crate) ingested_at: Option<DateTime<Utc>>,
    /// Counts from 1.
    pub(crate) revision: u32,
    /// False while its index job waits.
    pub(crate) searchable: bool,
    /// Passages that search knows.
    pub(crate) chunks: u32,
    /// BCP 47; empty when unknown.
    pub(crate) language: String,
}

impl Document {
    /// From the wire, with its project's slug.
    pub(crate) fn new(document: wire::Document, names: &Names) -> Self {
        let time = |time: Option<prost_types::Timestamp>| time.as_ref().and_then(from_wire);
        Self {
            project: names.slug(&document.project_id),
            published_at: time(document.published_at),
            updated_at: time(document.updated_at),
            ingested_at: time(document.ingested_at),
            id: document.id,
            project_id: document.project_id,
            source: document.source_name,
            source_id: document.source_id,
            source_kind: document.source_kind,
            external_id: document.external_id,
            title: document.title,
            url: document.url,
            text: document.text,
            authors: document.authors,
            tags: document.tags,
            revision: document.revision,
            searchable: document.searchable,
            chunks: document.chunks,
            language: document.language,
        }
    }
}
