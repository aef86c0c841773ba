//! What every live stream has: a place, heartbeats, an end.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderName, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use proto::Failure;
use serde::Serialize;
use tokio::time::sleep;

use crate::{
    app::App,
    error::{self, ProblemBody},
    identity::{self, Identity},
    streams::Place,
};

/// How often it is asked whether the caller may still listen; a revoked token stops working within
/// 30 s everywhere, and an open stream is no exception.
pub(super) const ASK_INTERVAL: Duration = Duration::from_secs(5);
/// How often a quiet stream says that it lives; proxies cut silent ones.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A stream ends after this long; the browser comes back by itself.
const LIFE_MAX: Duration = Duration::from_secs(3_600);
/// How long a browser waits before it comes back.
const RETRY: Duration = Duration::from_secs(2);
/// Says to proxies, and to our own compression, that nothing of an answer may be held back.
pub(crate) const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// An open stream of a caller.
pub(super) struct Listener {
    app: Arc<App>,
    who: Identity,
    place: Place,
}

impl Listener {
    /// A place for one more stream of the caller.
    ///
    /// # Errors
    /// `RATE_LIMITED` when there is none.
    pub(super) fn new(app: &Arc<App>, who: &Identity) -> Result<Self, Failure> {
        let place = app.streams.place(&who.caller.id)?;
        Ok(Self { app: Arc::clone(app), who: who.clone(), place })
    }

    /// Server-sent events, until their end or the listener's.
    pub(super) fn events(self, events: impl Stream<Item = Event> + Send + 'static) -> Response {
        let first = Event::default().retry(RETRY).comment("live");
        let events = stream::once(std::future::ready(first)).chain(events);
        let events = self.bound(events).map(Ok::<_, Infallible>);
        let events = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT));
        ([(UNBUFFERED, "no")], events).into_response()
    }

    /// Plain text, until its end or the listener's.
    pub(super) fn text(self, parts: impl Stream<Item = Bytes> + Send + 'static) -> Response {
        let parts = self.bound(parts).map(Ok::<_, Infallible>);
        let headers = [(UNBUFFERED, "no"), (header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        (StatusCode::OK, headers, Body::from_stream(parts)).into_response()
    }

    /// Ends with the process, after its time, and when the caller was signed out, revoked, or given
    /// other rights; the client finds out why when it comes back.
    fn bound<T>(self, items: impl Stream<Item = T> + Send) -> impl Stream<Item = T> + Send {
        let Self { app, who, place } = self;
        let over = async move {
            tokio::select! {
                () = app.stopping.cancelled() => {}
                () = sleep(LIFE_MAX) => {}
                () = lost_rights(&app, &who) => {}
            }
        };
        items.take_until(over).inspect(move |_| {
            // Held as long as the stream lives.
            let _place = &place;
        })
    }
}

/// Returns when the caller is not who they were; when nobody can tell, it is asked again soon.
async fn lost_rights(app: &App, who: &Identity) {
    loop {
        sleep(ASK_INTERVAL).await;
        if let Ok(false) = identity::is_still(app, who).await {
            return;
        }
    }
}

/// A state that changes, as events of one name; the last one tells a refusal that ended it.
pub(super) fn states<T: Serialize>(
    name: &'static str,
    changes: impl Stream<Item = Result<T, Failure>>,
) -> impl Stream<Item = Event> {
    changes.filter_map(move |change| {
        let event = match change {
            Ok(state) => Event::default().event(name).json_data(state).ok(),
            Err(failure) => problem(failure),
        };
        std::future::ready(event)
    })
}

/// What ended a stream: `event: problem`.
pub(super) fn problem(failure: Failure) -> Option<Event> {
    error::log(&failure);
    let status = failure.reason.http_status();
    Event::default().event("problem").json_data(ProblemBody::new(failure, status)).ok()
}
