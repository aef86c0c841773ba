//! A stream of events that is taken up again after a cut, from where it was.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Client, Event, events::Events};
use crate::error::Error;

/// How long the instance may be away, as while it is started again, before the stream is given up.
const ABSENCE_MAX: Duration = Duration::from_secs(60);

/// The pause before it is taken up again doubles from the one to the other.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(3);

/// A stream that survives its connections.
pub(crate) struct Live<'a> {
    client: &'a Client,
    path: Vec<String>,
    /// What to ask for.
    query: Vec<(&'static str, String)>,
    /// Of that, what says where to begin, and means nothing once an event has come.
    beginning: Vec<(&'static str, String)>,
    last: Option<String>,
    events: Option<Events>,
    /// It was open once.
    opened: bool,
    away_since: Option<Instant>,
    pause: Duration,
}

impl<'a> Live<'a> {
    /// A stream; `beginning` are the parameters that say where it begins.
    pub(crate) fn new(
        client: &'a Client,
        path: &[&str],
        query: Vec<(&'static str, String)>,
        beginning: Vec<(&'static str, String)>,
    ) -> Self {
        Self {
            client,
            path: path.iter().map(|part| (*part).to_owned()).collect(),
            query,
            beginning,
            last: None,
            events: None,
            opened: false,
            away_since: None,
            pause: PAUSE_MIN,
        }
    }

    /// The next event, over as many connections as that takes.
    ///
    /// # Errors
    /// The first attempt's; later, what does not pass, and what has not passed within a minute.
    pub(crate) async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(events) = &mut self.events {
                match events.next().await {
                    // It ended the stream, and says why.
                    Ok(Some(event)) if event.name == "problem" => {
                        let error = self.client.told(event.data.as_bytes());
                        if !error.may_pass() {
                            return Err(error);
                        }
                        self.events = None;
                    }
                    Ok(Some(event)) => {
                        (self.away_since, self.pause) = (None, PAUSE_MIN);
                        if !event.id.is_empty() {
                            self.last = Some(event.id.clone());
                        }
                        return Ok(event);
                    }
                    Err(error) if !error.may_pass() => return Err(error),
                    Ok(None) | Err(_) => self.events = None,
                }
                self.rest().await;
            }
            match self.open().await {
                Ok(events) => {
                    self.events = Some(events);
                    (self.opened, self.away_since) = (true, None);
                }
                Err(error) if self.opened && error.may_pass() => {
                    let since = *self.away_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= ABSENCE_MAX {
                        return Err(error);
                    }
                    self.rest().await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn open(&self) -> Result<Events, Error> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let mut query = self.query.clone();
        if self.last.is_none() {
            query.extend(self.beginning.iter().cloned());
        }
        self.client.events(&path, &query, self.last.as_deref()).await
    }

    async fn rest(&mut self) {
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }
}
