//! Turns one item into a document and hands it to knowledge.

mod text;

use std::sync::Arc;
use std::time::Instant;

use jobs::{Error, Job, Limits, NewJob, Outcome, Run};
use proto::knowledge::v1::submit_result::Outcome as Submitted;
use proto::knowledge::v1::{DocumentInput, SubmitResult};
use proto::time::to_wire;
use proto::{Failure, Reason, SourceId};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::db::blob::Blob;
use crate::db::item::Item;
use crate::document::Metadata;
use crate::source::Source;
use crate::{clients, db, metrics};

use text::{Asked, Text};

/// Processes the newest content of one item. Which content that is, the job finds out when it runs:
/// an edit that comes while it waits is taken along, one that comes while it runs makes it run
/// again.
#[derive(Debug, Serialize, Deserialize)]
pub struct Process {
    /// The source.
    pub source: SourceId,
    /// The item's row.
    pub item: i64,
}

impl Process {
    /// The job for an item of a source.
    #[must_use]
    pub fn job<'a>(&'a self, source: &Source, metadata: &Metadata) -> NewJob<'a, Self> {
        let title = if metadata.title.is_empty() { &metadata.url } else { &metadata.title };
        NewJob::new(self, title)
            .key(format!("{}:{}", self.source, self.item))
            .project(source.draft.project)
            .group(self.source.0)
            .priority(source.draft.priority)
    }
}

impl Job for Process {
    const KIND: &'static str = "ingestion.process";
    const LIMITS: Limits = Limits { concurrency: 8, run_ms: 180_000, ..Limits::STANDARD };
    type Context = Arc<App>;

    async fn run(self, app: Arc<App>, run: Run) -> Result<Outcome, Error> {
        let source = db::source::get(&app.pool, self.source).await?.filter(|it| !it.deleting);
        let item = db::item::get(&app.pool, self.item).await?;
        let waiting = db::blob::get(&app.pool, self.item).await?;
        let (Some(source), Some(item), Some(waiting)) = (source, item, waiting) else {
            // Removed, or taken along by an earlier run.
            return Ok(Outcome::Done);
        };
        let started = Instant::now();
        let text = match text::of(&app, &source, &waiting, &run).await? {
            Text::Ready(text) => text,
            Text::Later(wait) => return Ok(Outcome::Later(wait)),
        };
        let (blob, bytes) = (waiting.blob, text.markdown.len());
        let document = document(&source, &item, &blob, &text, &run);
        let submitted = app.knowledge.submit(document).await.map_err(clients::of_job);
        let article = text.article;
        if submitted.is_err() && article == Asked::Yes {
            // The next try must not ask the site again.
            db::blob::replace(&app.pool, self.item, &text.into_blob(&blob)).await?;
        }
        let outcome = accepted(submitted?)?;
        let mut tx = app.pool.begin().await?;
        if article == Asked::Refused {
            // A site that answers 304 would not show the entry again.
            db::validator::remove(&mut tx, source.id).await?;
            db::item::hand_on_again(&mut tx, self.item, blob.observed_seq).await?;
        }
        db::blob::remove(&mut tx, self.item, blob.observed_seq).await?;
        run.complete(&mut tx).await?;
        tx.commit().await?;
        metrics::document(source.draft.kind.as_str(), outcome, bytes);
        metrics::stage("process", started.elapsed());
        Ok(Outcome::Completed)
    }
}

/// What knowledge is handed.
fn document(
    source: &Source,
    item: &Item,
    blob: &Blob,
    text: &text::Normalised,
    run: &Run,
) -> DocumentInput {
    let metadata = &text.metadata;
    DocumentInput {
        source_id: source.id.to_string(),
        external_id: item.key.clone(),
        observed_seq: blob.observed_seq,
        project_id: source.draft.project.to_string(),
        title: metadata.title.clone(),
        url: metadata.url.clone(),
        text: text.markdown.clone(),
        authors: metadata.authors.clone(),
        tags: metadata.tags.clone(),
        // Knowledge dates a document that states none by its first sight.
        published_at: metadata.published_at.map(to_wire),
        updated_at: metadata.updated_at.map(to_wire),
        language: metadata.language.clone(),
        source_kind: source.draft.kind.to_string(),
        source_name: source.draft.name.clone(),
        priority: u32::from(source.draft.priority),
        deleted: false,
        traceparent: run.traceparent.clone().unwrap_or_default(),
    }
}

/// The outcome's name, or the refusal of a document that no further try will make acceptable.
fn accepted(result: SubmitResult) -> Result<&'static str, Error> {
    match result.outcome() {
        Submitted::Created => Ok("created"),
        Submitted::Revised => Ok("revised"),
        Submitted::Unchanged => Ok("unchanged"),
        Submitted::Stale => Ok("stale"),
        Submitted::Deleted => Ok("deleted"),
        Submitted::Refused | Submitted::Unspecified => {
            let reason = result.reason.parse().unwrap_or(Reason::Internal);
            let message = format!("knowledge refused the document: {}", result.message);
            Err(Failure::new(reason, message).into())
        }
    }
}
