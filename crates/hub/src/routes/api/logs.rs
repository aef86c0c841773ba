//! `/api/projects/{id}/logs`: snapshots, and what is followed.

use std::{future::ready, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response, sse::Event},
};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::live::{Listener, problem};
use crate::{
    app::App,
    error::{self, Problem, ProblemBody},
    identity::Identity,
    logs::{self, LogRecord},
    routes::extract,
};

/// Which records, and in which form.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Params {
    /// Services; none means all, merged by time.
    service: Vec<String>,
    /// The last so many, 1 to 10,000; 100 when absent.
    tail: Option<u32>,
    /// Not before this time, such as `2026-01-31T08:00:00Z`.
    since: String,
    /// Not after this time; not with `follow`.
    until: String,
    /// Lines that contain this text.
    contains: String,
    /// `trace`, `debug`, `info`, `warn` or `error`: this and worse.
    level: String,
    /// After this cursor, forwards.
    after: String,
    /// `json`, or `text`: the lines as they were written.
    format: Format,
    /// True: what there is and then what comes, as server-sent events or as plain lines.
    follow: bool,
}

/// How records are shown.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Text,
}

/// Some records.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Records {
    /// The oldest first.
    records: Vec<LogRecord>,
}

/// Logs of a project's services, merged by time. With `follow=true` server-sent events: `event:
/// record`, `id` its cursor; a client that comes back with `Last-Event-ID` misses nothing.
#[utoipa::path(get, path = "/api/projects/{id}/logs", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug"), Params),
    responses((status = 200, body = Records), (status = "4XX", body = ProblemBody)))]
pub(super) async fn all(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
    headers: HeaderMap,
    extract::Query(params): extract::Query<Params>,
) -> Result<Response, Problem> {
    answer(&app, &who, &id, &headers, params).await
}

/// The log of one service, over all its containers; as the logs of all.
#[utoipa::path(get, path = "/api/projects/{id}/logs/{service}", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug"), ("service" = String, Path), Params),
    responses((status = 200, body = Records), (status = "4XX", body = ProblemBody)))]
pub(super) async fn of_service(
    State(app): State<Arc<App>>,
    who: Identity,
    Path((id, service)): Path<(String, String)>,
    headers: HeaderMap,
    extract::Query(params): extract::Query<Params>,
) -> Result<Response, Problem> {
    answer(&app, &who, &id, &headers, Params { service: vec![service], ..params }).await
}

async fn answer(
    app: &Arc<App>,
    who: &Identity,
    project: &str,
    headers: &HeaderMap,
    params: Params,
) -> Result<Response, Problem> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let query = logs::Query {
        services: params.service.into_iter().filter(|name| !name.is_empty()).collect(),
        tail: params.tail.unwrap_or(0),
        since: logs::time("since", &params.since)?,
        until: logs::time("until", &params.until)?,
        contains: params.contains,
        level: params.level,
        after: last.filter(|_| params.follow).map_or(params.after, str::to_owned),
    };
    if params.follow {
        return follow(app, who, project, query, params.format).await;
    }
    let records = logs::read(app, who, project, query).await?;
    Ok(match params.format {
        Format::Json => Json(Records { records }).into_response(),
        Format::Text => {
            let kind = (header::CONTENT_TYPE, "text/plain; charset=utf-8");
            ([kind], text(&records)).into_response()
        }
    })
}

async fn follow(
    app: &Arc<App>,
    who: &Identity,
    project: &str,
    query: logs::Query,
    format: Format,
) -> Result<Response, Problem> {
    let listener = Listener::new(app, who)?;
    let batches = logs::follow(app, who, project, query).await?;
    if format == Format::Text {
        let parts = batches.map(|batch| batch.map(|records| text(&records)));
        // Plain lines have no room for a refusal: the stream just ends.
        return Ok(listener.text(
            parts.filter_map(|part| ready(part.map(Bytes::from).inspect_err(error::log).ok())),
        ));
    }
    let events = batches.flat_map(|batch| {
        stream::iter(match batch {
            Ok(records) => records.iter().filter_map(event).collect(),
            Err(failure) => problem(failure).into_iter().collect::<Vec<_>>(),
        })
    });
    Ok(listener.events(events))
}

/// A record whose cursor a browser sends back by itself.
fn event(record: &LogRecord) -> Option<Event> {
    let event = Event::default().event("record");
    // Whatever has another form could break out of its line.
    let is_cursor =
        !record.cursor.is_empty() && record.cursor.bytes().all(|b| b.is_ascii_graphic());
    let event = if is_cursor { event.id(&record.cursor) } else { event };
    event.json_data(record).ok()
}

/// The lines as they were written.
fn text(records: &[LogRecord]) -> String {
    let lines = records.iter().filter_map(LogRecord::line);
    lines.flat_map(|line| [line, "\n"]).collect()
}
