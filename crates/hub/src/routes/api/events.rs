//! `/api/jobs/events`: jobs as they change, by server-sent events.

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use chrono::{DateTime, TimeDelta, Utc};
use futures::{Stream, StreamExt, stream};
use tokio::time::Instant;

use crate::{
    app::App,
    error::{Problem, ProblemBody},
    identity::{self, Identity},
    jobs::{self, Job},
    projects::Names,
    streams::Place,
};

/// How often the ledger is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is asked whether the caller may still listen; a revoked token stops working within
/// 30 s everywhere, and an open stream is no exception.
const ASK_INTERVAL: Duration = Duration::from_secs(5);
/// How often a quiet stream says that it lives; proxies cut silent ones.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A stream ends after this long; the browser comes back by itself.
const LIFE_MAX: Duration = Duration::from_secs(3_600);
/// How far back a client that was away is caught up.
const CATCH_UP_MAX: TimeDelta = TimeDelta::minutes(10);
/// Each look reaches back this far, for transactions that committed late.
const OVERLAP: TimeDelta = TimeDelta::seconds(5);
/// How long a browser waits before it comes back.
const RETRY: Duration = Duration::from_secs(2);

/// Jobs as they change: `event: job` with a job as JSON. `id` is a time; a client that comes back
/// sends it as `Last-Event-ID` and hears what it missed, up to ten minutes.
#[utoipa::path(get, path = "/api/jobs/events", tag = "Jobs",
    responses((status = 200, description = "A stream of jobs", body = Job,
               content_type = "text/event-stream"),
              (status = "4XX", body = ProblemBody)))]
pub(super) async fn stream(
    State(app): State<Arc<App>>,
    who: Identity,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let place = app.streams.place(&who.caller.id)?;
    let names = Names::load(&app, &who).await?;
    let watch = Watch {
        since: resume_from(&headers, Utc::now()),
        app: Arc::clone(&app),
        who,
        names,
        seen: HashMap::new(),
        asked_at: Instant::now(),
        _place: place,
    };
    let events = Sse::new(events(watch)).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    // Proxies would hold the stream back until it ends.
    Ok(([(HeaderName::from_static("x-accel-buffering"), "no")], events).into_response())
}

/// What one stream has told so far.
struct Watch {
    app: Arc<App>,
    who: Identity,
    names: Names,
    since: DateTime<Utc>,
    seen: HashMap<String, Job>,
    /// When it was last asked whether the caller may still listen.
    asked_at: Instant,
    _place: Place,
}

fn events(watch: Watch) -> impl Stream<Item = Result<Event, Infallible>> {
    let stopping = watch.app.stopping.clone();
    let ends = Instant::now() + LIFE_MAX;
    let looks = stream::unfold((watch, true), |(mut watch, first)| async move {
        if !first {
            tokio::time::sleep(LOOK_INTERVAL).await;
            if !watch.may_go_on().await {
                return None;
            }
        }
        let mut batch = watch.look().await;
        if first {
            batch.insert(0, Event::default().retry(RETRY).comment("live"));
        }
        Some((stream::iter(batch), (watch, false)))
    });
    looks.flatten().map(Ok).take_until(async move {
        tokio::select! {
            () = stopping.cancelled() => {}
            () = tokio::time::sleep_until(ends) => {}
        }
    })
}

impl Watch {
    /// False when the caller was signed out, revoked, or given other rights: the stream ends, and
    /// the client finds out why when it comes back. When nobody can tell, it is asked again soon.
    async fn may_go_on(&mut self) -> bool {
        if self.asked_at.elapsed() < ASK_INTERVAL {
            return true;
        }
        match identity::is_still(&self.app, &self.who).await {
            Ok(false) => return false,
            Ok(true) => self.asked_at = Instant::now(),
            Err(_) => return true,
        }
        if let Ok(names) = Names::load(&self.app, &self.who).await {
            self.names = names;
        }
        true
    }

    /// What has changed since the last look. A look that fails is made up for by the next one.
    async fn look(&mut self) -> Vec<Event> {
        let now = Utc::now();
        let Ok(jobs) = jobs::changes(&self.app, &self.who, &self.names, self.since).await else {
            return Vec::new();
        };
        let mut seen = HashMap::with_capacity(jobs.len());
        let mut events = Vec::new();
        for job in jobs {
            if self.seen.get(&job.id) != Some(&job) {
                let event = Event::default().event("job").id(now.timestamp_millis().to_string());
                events.extend(event.json_data(&job));
            }
            seen.insert(job.id.clone(), job);
        }
        self.seen = seen;
        self.since = now - OVERLAP;
        events
    }
}

/// Where a client that was away goes on; a new one starts now.
fn resume_from(headers: &HeaderMap, now: DateTime<Utc>) -> DateTime<Utc> {
    headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .and_then(DateTime::from_timestamp_millis)
        .map_or(now, |last| last.clamp(now - CATCH_UP_MAX, now))
        - OVERLAP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_resumes_where_it_was_but_not_from_the_dawn_of_time() {
        let now = Utc::now();
        let from = |id: &str| {
            let headers = HeaderMap::from_iter([(
                HeaderName::from_static("last-event-id"),
                id.parse().unwrap(),
            )]);
            (now - resume_from(&headers, now) - OVERLAP).num_seconds()
        };
        assert_eq!(from(&(now - TimeDelta::seconds(60)).timestamp_millis().to_string()), 60);
        assert_eq!(from("0"), 600);
        assert_eq!(from("nonsense"), 0);
    }
}
