//! `/api/jobs/events`: jobs as they change, by server-sent events.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::HeaderMap,
    response::{Response, sse::Event},
};
use chrono::{DateTime, TimeDelta, Utc};
use futures::{Stream, StreamExt, stream};
use tokio::time::Instant;

use super::live::{ASK_INTERVAL, Listener};
use crate::{
    app::App,
    error::{Problem, ProblemBody},
    identity::Identity,
    jobs::{self, Job},
    projects::Names,
};

/// How often the ledger is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How far back a client that was away is caught up.
const CATCH_UP_MAX: TimeDelta = TimeDelta::minutes(10);
/// Each look reaches back this far, for transactions that committed late.
const OVERLAP: TimeDelta = TimeDelta::seconds(5);

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
    let listener = Listener::new(&app, &who)?;
    let names = Names::load(&app, &who).await?;
    let watch = Watch {
        since: resume_from(&headers, Utc::now()),
        app,
        who,
        names,
        seen: HashMap::new(),
        named_at: Instant::now(),
    };
    Ok(listener.events(events(watch)))
}

/// What one stream has told so far.
struct Watch {
    app: Arc<App>,
    who: Identity,
    names: Names,
    since: DateTime<Utc>,
    seen: HashMap<String, Job>,
    /// When the projects' names were read.
    named_at: Instant,
}

fn events(watch: Watch) -> impl Stream<Item = Event> {
    let looks = stream::unfold((watch, true), |(mut watch, first)| async move {
        if !first {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        let batch = watch.look().await;
        Some((stream::iter(batch), (watch, false)))
    });
    looks.flatten()
}

impl Watch {
    /// Projects come and go while a stream is open; when they cannot be read, the old names serve.
    async fn name_anew(&mut self) {
        if self.named_at.elapsed() < ASK_INTERVAL {
            return;
        }
        if let Ok(names) = Names::load(&self.app, &self.who).await {
            self.names = names;
            self.named_at = Instant::now();
        }
    }

    /// What has changed since the last look. A look that fails is made up for by the next one.
    async fn look(&mut self) -> Vec<Event> {
        self.name_anew().await;
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
                axum::http::HeaderName::from_static("last-event-id"),
                id.parse().unwrap(),
            )]);
            (now - resume_from(&headers, now) - OVERLAP).num_seconds()
        };
        assert_eq!(from(&(now - TimeDelta::seconds(60)).timestamp_millis().to_string()), 60);
        assert_eq!(from("0"), 600);
        assert_eq!(from("nonsense"), 0);
    }
}
