//! The end of what one run of a container wrote, for those who ask why it ended.

use std::time::Duration;

use chrono::{DateTime, Utc};
use proto::{Failure, ProjectId};
use tokio::time::{Instant, timeout_at};

use super::filter::Filter;
use super::record::Kind;
use super::scan::{self, Limit};
use super::{Logs, disk, resume};

/// How long the rest of a log is waited for after its process has ended.
const COMPLETE_TIMEOUT: Duration = Duration::from_secs(3);

/// The Engine stamps lines apart from starts and ends.
const SLACK_NS: i64 = 500_000_000;

/// Of texts in one answer.
const BYTES_MAX: usize = 1 << 20;

/// One run of a container that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run<'a> {
    /// The container's id.
    pub container: &'a str,
    /// When its process began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
}

impl Logs {
    /// The last lines of a run, oldest first, without secrets. Waits until its end has been read,
    /// at most some seconds; then what is there counts.
    ///
    /// # Errors
    /// As [`Logs::mark`].
    pub async fn last_lines(
        &self,
        project: ProjectId,
        service: &str,
        run: Run<'_>,
        lines_max: usize,
    ) -> Result<Vec<String>, Failure> {
        let [begin, end] =
            [run.started_at, run.finished_at].map(|at| at.timestamp_nanos_opt().unwrap_or(0));
        let (logs, name) = (self.clone(), service.to_owned());
        let opened = self.blocking(move || {
            let project = logs.project(project)?;
            Ok((project.make(&name).map_err(disk)?, project.changes()))
        });
        let (service, mut changes) = opened.await?;
        let (source, deadline) = (resume::source(run.container), Instant::now() + COMPLETE_TIMEOUT);
        while service.timeline.point(source).marked < end {
            // Nobody closes a log whose service is still looked after.
            let changed = timeout_at(deadline, changes.changed()).await;
            if changed.is_err() || *changes.borrow_and_update() {
                break;
            }
        }
        let filter = Filter::default().since(begin - SLACK_NS).until(end + SLACK_NS);
        // Beside its lines, a run has some marks.
        let limit = Limit { records: lines_max + 4, bytes: BYTES_MAX };
        let records = self
            .blocking(move || Ok(scan::tail(&service.timeline.snapshot(), &filter, limit)))
            .await?;
        let lines = records.into_iter().filter_map(|it| match it.kind {
            Kind::Line { text, .. } => Some(String::from_utf8_lossy(&text).into_owned()),
            Kind::Mark(_) | Kind::Gap(_) => None,
        });
        let mut lines: Vec<String> = lines.collect();
        lines.drain(..lines.len().saturating_sub(lines_max));
        Ok(lines)
    }
}
