//! What callers ask of logs.

use std::sync::Arc;

use chassis::auth::caller;
use chassis::caller::{Caller, Role};
use chrono::DateTime;
use futures::TryStreamExt as _;
use prost_types::Timestamp;
use proto::orchestrator::v1;
use proto::orchestrator::v1::log_record::Kind as WireKind;
use proto::orchestrator::v1::log_service_server::{LogService, LogServiceServer};
use proto::time::to_wire;
use proto::{Failure, MESSAGE_BYTES_MAX, ProjectId};
use tonic::service::RoutesBuilder;
use tonic::{Request, Response, Status};

use super::Answers;
use crate::logs::Logs;
use crate::logs::cursor::Cursor;
use crate::logs::filter::Filter;
use crate::logs::level::Level;
use crate::logs::query::{Entry, Query, Shown, TAIL_MAX};
use crate::logs::record::{Gap, Kind, Record};

/// Records for a caller that does not say how many.
const TAIL_DEFAULT: u32 = 100;

/// Services in one request, at most: a stack has no more.
const SERVICES_MAX: usize = 50;

/// The longest text that is looked for, in bytes.
const CONTAINS_BYTES_MAX: usize = 1_024;

/// Adds the service to a server.
pub(super) fn add(routes: &mut RoutesBuilder, logs: Logs) {
    let service = LogServiceServer::new(Grpc { logs });
    routes.add_service(service.max_encoding_message_size(MESSAGE_BYTES_MAX));
}

struct Grpc {
    logs: Logs,
}

#[tonic::async_trait]
impl LogService for Grpc {
    type FollowLogsStream = Answers<v1::LogBatch>;

    async fn get_logs(
        &self,
        request: Request<v1::GetLogsRequest>,
    ) -> Result<Response<v1::GetLogsResponse>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(get(&self.logs, &caller, request.into_inner()).await?))
    }

    async fn follow_logs(
        &self,
        request: Request<v1::FollowLogsRequest>,
    ) -> Result<Response<Self::FollowLogsStream>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(follow(&self.logs, &caller, request.into_inner()).await?))
    }
}

async fn get(
    logs: &Logs,
    caller: &Arc<Caller>,
    request: v1::GetLogsRequest,
) -> Result<v1::GetLogsResponse, Failure> {
    let project = permit(caller, &request.project_id)?;
    let entries = logs.query(project, query(request)?).await?;
    Ok(v1::GetLogsResponse { records: entries.into_iter().map(record).collect() })
}

async fn follow(
    logs: &Logs,
    caller: &Arc<Caller>,
    request: v1::FollowLogsRequest,
) -> Result<Answers<v1::LogBatch>, Failure> {
    let project = permit(caller, &request.project_id)?;
    // Whoever names a time, and no number, wants everything since then.
    let all = request.since.is_some() && request.tail == 0 && request.after.is_empty();
    let mut query = query(v1::GetLogsRequest {
        project_id: request.project_id,
        services: request.services,
        tail: request.tail,
        since: request.since,
        until: None,
        contains: request.contains,
        level: request.level,
        after: request.after,
    })?;
    if all {
        query.after = Some(Cursor::default());
    }
    let batches = logs.follow(project, query).await?;
    let batches = batches
        .map_ok(|entries| v1::LogBatch { records: entries.into_iter().map(record).collect() })
        .map_err(Status::from);
    Ok(Box::pin(batches))
}

fn permit(caller: &Caller, project: &str) -> Result<ProjectId, Failure> {
    let project = ProjectId::parse("project_id", project)?;
    caller.require(Role::Viewer, project)?;
    Ok(project)
}

fn query(request: v1::GetLogsRequest) -> Result<Query, Failure> {
    let tail = if request.tail == 0 { TAIL_DEFAULT } else { request.tail } as usize;
    if tail > TAIL_MAX {
        let message = format!("tail is {tail}: give 1 to {TAIL_MAX}, and go on with `after`");
        return Err(Failure::invalid("tail", message));
    }
    if request.services.len() > SERVICES_MAX {
        return Err(Failure::invalid("services", format!("name at most {SERVICES_MAX} services")));
    }
    if request.contains.len() > CONTAINS_BYTES_MAX {
        let message = format!("the text to look for is longer than {CONTAINS_BYTES_MAX} bytes");
        return Err(Failure::invalid("contains", message));
    }
    let mut filter = Filter::default().containing(&request.contains);
    if let Some(since) = &request.since {
        filter = filter.since(time("since", since)?);
    }
    if let Some(until) = &request.until {
        filter = filter.until(time("until", until)?);
    }
    if !request.level.is_empty() {
        let level = Level::parse(&request.level).ok_or_else(|| {
            let level = &request.level;
            let message = format!("{level:?} is no level: trace, debug, info, warn or error");
            Failure::invalid("level", message)
        })?;
        filter = filter.at_least(level);
    }
    let after = match request.after.as_str() {
        "" => None,
        after => Some(after.parse()?),
    };
    let mut services = request.services;
    services.sort_unstable();
    services.dedup();
    Ok(Query { services, tail, filter, after })
}

fn time(field: &str, time: &Timestamp) -> Result<i64, Failure> {
    proto::time::from_wire(time).and_then(|it| it.timestamp_nanos_opt()).ok_or_else(|| {
        Failure::invalid(field, format!("{field} is out of range: give a time from 1678 to 2262"))
    })
}

fn record(entry: Entry) -> v1::LogRecord {
    let Entry { service, cursor, shown } = entry;
    let service = service.to_string();
    match shown {
        Shown::Lag(records) => {
            let kind = Some(WireKind::Lag(v1::LogLag { records }));
            v1::LogRecord { service, sequence: 0, cursor, at: None, kind }
        }
        Shown::Record(Record { sequence, at, kind }) => {
            v1::LogRecord { service, sequence, cursor, at: stamp(at), kind: Some(shown_as(kind)) }
        }
    }
}

fn shown_as(kind: Kind) -> WireKind {
    match kind {
        Kind::Line { output, level, truncated, text } => WireKind::Line(v1::LogLine {
            stream: output.as_str().to_owned(),
            text: String::from_utf8(text)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
            level: level.map_or("", Level::as_str).to_owned(),
            truncated,
        }),
        Kind::Mark(mark) => {
            WireKind::Mark(v1::LogMark { event: mark.event.as_str().to_owned(), text: mark.text })
        }
        Kind::Gap(Gap { from, to, lines, reason }) => {
            WireKind::Gap(v1::LogGap { from: stamp(from), to: stamp(to), reason, lines })
        }
    }
}

fn stamp(nanos: i64) -> Option<Timestamp> {
    Some(to_wire(DateTime::from_timestamp_nanos(nanos)))
}
