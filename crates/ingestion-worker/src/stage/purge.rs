//! Removes a source that was marked as deleting, with its documents.

use std::sync::Arc;

use jobs::{Error, Job, Limits, NewJob, Outcome, Run};
use proto::SourceId;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::clients::of_job;
use crate::db;
use crate::source::Source;

/// Removes one source.
#[derive(Debug, Serialize, Deserialize)]
pub struct Purge {
    /// The source.
    pub source: SourceId,
}

impl Purge {
    /// The job for a source.
    #[must_use]
    pub fn job<'a>(&'a self, source: &Source) -> NewJob<'a, Self> {
        NewJob::new(self, format!("remove {}", source.draft.name))
            .key(self.source.to_string())
            .project(source.draft.project)
            .group(self.source.0)
            .priority(source.draft.priority)
    }
}

impl Job for Purge {
    const KIND: &'static str = "ingestion.purge";
    const LIMITS: Limits = Limits { concurrency: 2, ..Limits::STANDARD };
    type Context = Arc<App>;

    async fn run(self, app: Arc<App>, run: Run) -> Result<Outcome, Error> {
        // Later than the number of any content: nothing was stored after the source was marked.
        let observed_seq = jobs::observe(&app.pool).await?;
        let documents = app.knowledge.purge(self.source, observed_seq).await.map_err(of_job)?;
        let mut tx = app.pool.begin().await?;
        db::source::remove(&mut tx, self.source).await?;
        run.complete(&mut tx).await?;
        tx.commit().await?;
        tracing::info!(source.id = %self.source, documents, "source removed");
        Ok(Outcome::Completed)
    }
}
