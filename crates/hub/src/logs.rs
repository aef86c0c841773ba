//! Logs of services: one timeline each, read back or followed.

mod model;

pub(crate) use model::{Kind, LogRecord};

use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt as _};
use proto::{Failure, orchestrator::v1 as wire, time::to_wire};

use crate::{
    app::App,
    clients::{ORCHESTRATOR, refused},
    identity::Identity,
    projects,
};

/// Records that one answer holds at most.
pub(crate) const TAIL_MAX: u32 = 10_000;

/// Records of each service that are shown before one that a link leads to.
const CONTEXT: u64 = 50;

/// Which records.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    /// None: all.
    pub(crate) services: Vec<String>,
    /// The last so many; 0: the orchestrator's own number.
    pub(crate) tail: u32,
    pub(crate) since: Option<DateTime<Utc>>,
    pub(crate) until: Option<DateTime<Utc>>,
    pub(crate) contains: String,
    /// This and worse.
    pub(crate) level: String,
    /// After this cursor, forwards.
    pub(crate) after: String,
}

impl Query {
    fn check(&self) -> Result<(), Failure> {
        if self.tail <= TAIL_MAX {
            return Ok(());
        }
        let text = format!(
            "tail is {}, and may be {TAIL_MAX}: read on with `after` and the last cursor",
            self.tail
        );
        Err(Failure::invalid("tail", text))
    }
}

/// A cursor some records before another one, so that it and what led to it come after: numbers
/// grow by one in each service. What is no cursor stays as it is, for the orchestrator to refuse.
pub(crate) fn before(cursor: &str) -> String {
    let back = |part: &str| {
        let (service, sequence) = part.split_once(':')?;
        let sequence = sequence.parse::<u64>().ok()?.saturating_sub(CONTEXT);
        Some(format!("{service}:{sequence}"))
    };
    let parts: Option<Vec<String>> = cursor.split(',').map(back).collect();
    parts.map_or_else(|| cursor.to_owned(), |parts| parts.join(","))
}

/// A time as callers write it; none when they write nothing.
pub(crate) fn time(field: &str, text: &str) -> Result<Option<DateTime<Utc>>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let malformed = |_| {
        let text = format!("{text:?} is no time: write it as 2026-01-31T08:00:00Z");
        Failure::invalid(field, text)
    };
    DateTime::parse_from_rfc3339(text).map(|at| Some(at.to_utc())).map_err(malformed)
}

/// Records of a project's services, merged by time.
pub(crate) async fn read(
    app: &App,
    who: &Identity,
    project: &str,
    query: Query,
) -> Result<Vec<LogRecord>, Failure> {
    let project_id = projects::readable(app, who, project).await?.id.to_string();
    query.check()?;
    let request = wire::GetLogsRequest {
        project_id,
        services: query.services,
        tail: query.tail,
        since: query.since.map(to_wire),
        until: query.until.map(to_wire),
        contains: query.contains,
        level: query.level,
        after: query.after,
    };
    let answer = app.clients.logs(who)?.get_logs(request).await;
    let records = answer.map_err(refused(ORCHESTRATOR))?.into_inner().records;
    Ok(records.into_iter().filter_map(LogRecord::new).collect())
}

/// What there is, and then what comes, without a hole between.
pub(crate) async fn follow(
    app: &App,
    who: &Identity,
    project: &str,
    query: Query,
) -> Result<impl Stream<Item = Result<Vec<LogRecord>, Failure>> + use<>, Failure> {
    let project_id = projects::readable(app, who, project).await?.id.to_string();
    query.check()?;
    if query.until.is_some() {
        let text = "what is followed has no end: leave out `until` or `follow`";
        return Err(Failure::invalid("until", text));
    }
    let request = wire::FollowLogsRequest {
        project_id,
        services: query.services,
        tail: query.tail,
        since: query.since.map(to_wire),
        contains: query.contains,
        level: query.level,
        after: query.after,
    };
    let answer = app.clients.logs(who)?.follow_logs(request).await;
    let batches = answer.map_err(refused(ORCHESTRATOR))?.into_inner();
    Ok(batches.map(|batch| {
        let batch = batch.map_err(refused(ORCHESTRATOR))?;
        Ok(batch.records.into_iter().filter_map(LogRecord::new).collect())
    }))
}
