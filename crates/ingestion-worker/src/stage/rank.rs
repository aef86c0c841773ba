//! Tells ranking about an edit of a source. The edit itself tried already; this makes sure.

use std::sync::Arc;

use jobs::{Error, Job, Limits, NewJob, Outcome, Run};
use proto::SourceId;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::clients::of_job;
use crate::db;
use crate::source::Source;

/// Tells ranking about one source.
#[derive(Debug, Serialize, Deserialize)]
pub struct Rank {
    /// The source.
    pub source: SourceId,
}

impl Rank {
    /// The job for a source.
    #[must_use]
    pub fn job<'a>(&'a self, source: &Source) -> NewJob<'a, Self> {
        NewJob::new(self, format!("rank {}", source.draft.name))
            .key(self.source.to_string())
            .project(source.draft.project)
            .priority(jobs::job::PRIORITY_MAX)
    }
}

impl Job for Rank {
    const KIND: &'static str = "ingestion.rank";
    const LIMITS: Limits = Limits { concurrency: 2, run_ms: 30_000, ..Limits::STANDARD };
    type Context = Arc<App>;

    async fn run(self, app: Arc<App>, _run: Run) -> Result<Outcome, Error> {
        if let Some(source) = db::source::get(&app.pool, self.source).await?
            && !source.deleting
        {
            app.knowledge.set_rank(&source).await.map_err(of_job)?;
        }
        Ok(Outcome::Done)
    }
}
