//! Documents as callers hand them in, and what becomes of them.

use chrono::{DateTime, Utc};
use proto::{Failure, Reason};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::priority::Priority;

/// A document to hand in.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NewDocument {
    /// Id or slug; an operator of all projects makes a new one by naming it.
    pub(crate) project: String,
    /// The name of the `manual` source that holds it; `manual` when absent, made when missing.
    pub(crate) source: String,
    /// Its stable name in its source, so that handing it in again is a revision; the hash of its
    /// content when absent.
    pub(crate) external_id: String,
    /// Its title; taken from the content when absent.
    pub(crate) title: String,
    /// Where it lies on the web.
    pub(crate) url: String,
    /// The content, at most 8 MiB. Exactly one of `text` and `content_base64`.
    pub(crate) text: Option<String>,
    /// The content in any encoding, in Base64.
    pub(crate) content_base64: Option<String>,
    /// `text/markdown`, `text/plain` or `text/html`; by the name in `external_id` when absent.
    pub(crate) media_type: String,
    /// Its authors.
    pub(crate) authors: Vec<String>,
    /// Its tags.
    pub(crate) tags: Vec<String>,
    /// When it was published.
    pub(crate) published_at: Option<DateTime<Utc>>,
    /// Priority of the source when it is made.
    pub(crate) priority: Option<Priority>,
    /// True: process it also when it has not changed since it was last handed in.
    pub(crate) force: bool,
}

/// One document, or many.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDocuments {
    /// At most 1,000, and 24 MiB in all.
    pub(crate) documents: Vec<NewDocument>,
}

/// What became of the documents of a request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// One a document, in the order of the request.
    pub(crate) results: Vec<ItemResult>,
}

/// What became of one document.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub(crate) struct ItemResult {
    /// Its name in its source.
    pub(crate) external_id: String,
    /// `accepted`, `unchanged` or `refused`.
    pub(crate) status: &'static str,
    /// The job that processes it; empty unless accepted.
    pub(crate) job_id: String,
    /// The source that holds it; empty when refused.
    pub(crate) source_id: String,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<ItemProblem>,
}

/// Why one document was refused.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ItemProblem {
    /// The reason; it never changes meaning.
    pub(crate) code: String,
    /// What happened, why, and what to do next.
    pub(crate) detail: String,
}

impl ItemResult {
    /// A document that was not taken.
    pub(crate) fn refused(external_id: String, failure: Failure) -> Self {
        let code = failure.reason.as_str().to_owned();
        let error = Some(ItemProblem { code, detail: failure.message });
        Self { external_id, status: "refused", error, ..Self::default() }
    }

    /// The refusal of the only document of a request, to be answered as a problem of its own.
    pub(crate) fn into_failure(self) -> Result<Self, Failure> {
        match self.error {
            None => Ok(self),
            Some(error) => {
                let reason = error.code.parse().unwrap_or(Reason::InvalidInput);
                Err(Failure::new(reason, error.detail))
            }
        }
    }
}
