//! Removes runs, forgotten content and idle hosts.

use std::sync::Arc;

use jobs::{Error, Job, Limits, NewJob, Outcome, Run};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::db;

/// Runs are kept this long.
const RUN_DAYS: i32 = 90;

/// Content is kept this long: its job is gone by then, as even dead ones are kept for 30 days.
const BLOB_DAYS: i32 = 35;

/// What a host asked for is forgotten after this.
const HOST_DAYS: i32 = 7;

/// Rows removed in one statement.
const BATCH: i64 = 1_000;

/// The key of the schedule that runs it.
pub const SCHEDULE_KEY: &str = "ingestion.retention";

/// Every night, when it disturbs least.
pub const SCHEDULE: &str = "23 3 * * *";

/// Removes what nobody needs any more.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Retention {}

impl Retention {
    /// The job.
    #[must_use]
    pub fn job(&self) -> NewJob<'_, Self> {
        NewJob::new(self, "remove old runs and content").key("retention").priority(1)
    }
}

impl Job for Retention {
    const KIND: &'static str = "ingestion.retention";
    const LIMITS: Limits = Limits { concurrency: 1, run_ms: 1_800_000, ..Limits::STANDARD };
    type Context = Arc<App>;

    async fn run(self, app: Arc<App>, run: Run) -> Result<Outcome, Error> {
        let mut removed = 0;
        loop {
            let runs = db::run::forget_old(&app.pool, RUN_DAYS, BATCH).await?;
            let blobs = db::blob::forget_old(&app.pool, BLOB_DAYS, BATCH).await?;
            let hosts = db::host::forget_old(&app.pool, HOST_DAYS, BATCH).await?;
            removed += runs + blobs + hosts;
            if runs + blobs + hosts == 0 {
                return Ok(Outcome::Done);
            }
            run.progress(removed, None, "removed").await;
        }
    }
}
