//! Followers: what there is, then what comes, without a hole between.
//!
//! A follower holds no queue. It remembers its place and reads on from the timeline whenever there
//! is more, so a slow one costs one batch of memory, delays nobody, and loses nothing.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, stream};
use proto::{Failure, Reason};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::cursor::Cursor;
use super::project::{FOLLOWERS_MAX, Project, Service};
use super::query::{self, Entry, Query, Shown};
use super::scan::Limit;

/// Records of one batch, at most; a follower that is further behind is told so.
pub(super) const BATCH_RECORDS_MAX: usize = 1_024;

/// Of texts in one batch, at most; one record may go beyond.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// The least of texts from one service, while many are followed.
const SERVICE_BYTES_MIN: usize = 64 * 1024;

/// An empty batch is sent after this long, so that both ends know of a broken connection.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Somebody who follows.
pub(super) struct Follower {
    project: Arc<Project>,
    query: Query,
    place: Place,
    changes: watch::Receiver<bool>,
    /// How far it is behind: what it is told depends on whether it had caught up before.
    caught_up: bool,
    /// When it was last told something.
    sent: Instant,
    _permits: Vec<OwnedSemaphorePermit>,
}

enum Place {
    /// Nothing was sent.
    Start,
    /// Everything up to here was sent.
    After(Cursor),
}

impl Follower {
    /// A follower of services that exist. Without names it also follows those that come later.
    ///
    /// # Errors
    /// `RATE_LIMITED` when a service has its [`FOLLOWERS_MAX`].
    pub(super) fn new(
        project: Arc<Project>,
        services: &[Arc<Service>],
        query: Query,
    ) -> Result<Self, Failure> {
        let permit = |service: &Arc<Service>| {
            service.followers.clone().try_acquire_owned().map_err(|_| {
                let name = &service.name;
                let message = format!(
                    "the log of {name} has {FOLLOWERS_MAX} followers already: end one of them, \
                     or read without following"
                );
                Failure::new(Reason::RateLimited, message).retry_after(KEEPALIVE)
            })
        };
        let permits = services.iter().map(permit).collect::<Result<_, _>>()?;
        let place = query.after.clone().map_or(Place::Start, Place::After);
        let changes = project.changes();
        let (caught_up, sent) = (false, Instant::now());
        Ok(Self { project, query, place, changes, caught_up, sent, _permits: permits })
    }

    /// The batches; an empty one only says that we are there.
    pub(super) fn batches(self) -> impl Stream<Item = Result<Vec<Entry>, Failure>> + Send {
        stream::try_unfold(self, async |mut follower| {
            Ok(follower.next().await?.map(|batch| (batch, follower)))
        })
    }

    /// `None` when this process no longer has the logs; the cursor is good for the next one.
    async fn next(&mut self) -> Result<Option<Vec<Entry>>, Failure> {
        loop {
            // What is announced from here on is read in the next round.
            if *self.changes.borrow_and_update() {
                return Ok(None);
            }
            let first = matches!(self.place, Place::Start);
            let batch = self.read().await?;
            if !batch.is_empty() || first {
                self.sent = Instant::now();
                return Ok(Some(batch));
            }
            // The project holds the sender, and we hold the project. What is announced is perhaps
            // nothing that is asked for: the pause is since the last batch.
            if timeout_at(self.sent + KEEPALIVE, self.changes.changed()).await.is_err() {
                self.sent = Instant::now();
                return Ok(Some(Vec::new()));
            }
        }
    }

    async fn read(&mut self) -> Result<Vec<Entry>, Failure> {
        let services = select(&self.project, &self.query.services);
        let asked = std::mem::replace(&mut self.place, Place::Start);
        let query = self.query.clone();
        let reading = spawn_blocking(move || {
            let (batch, cursor) = match asked {
                Place::Start => query::answer(&services, &query),
                Place::After(cursor) => {
                    let bytes = (BATCH_BYTES_MAX / services.len().max(1)).max(SERVICE_BYTES_MIN);
                    let limit = Limit { records: BATCH_RECORDS_MAX, bytes };
                    query::forward(&services, &cursor, &query.filter, limit)
                }
            };
            let behind = behind(&services, &cursor);
            (batch, cursor, behind)
        });
        let (mut batch, cursor, behind) = reading.await.map_err(|error| {
            Failure::new(Reason::Internal, format!("the log could not be read: {error}"))
        })?;
        if self.caught_up && behind > BATCH_RECORDS_MAX as u64 && !batch.is_empty() {
            let service = batch[0].service.clone();
            let lag = behind + batch.len() as u64;
            batch.insert(0, Entry { service, cursor: String::new(), shown: Shown::Lag(lag) });
        }
        self.caught_up = behind == 0 || self.caught_up && behind <= BATCH_RECORDS_MAX as u64;
        self.place = Place::After(cursor);
        Ok(batch)
    }
}

/// The services of these names that exist; without names, all.
pub(super) fn select(project: &Project, names: &[String]) -> Vec<Arc<Service>> {
    if names.is_empty() {
        return project.services();
    }
    names.iter().filter_map(|name| project.service(name)).collect()
}

/// How many records come after a cursor.
fn behind(services: &[Arc<Service>], cursor: &Cursor) -> u64 {
    let of = |service: &Arc<Service>| {
        let seen = cursor.0.get(&service.name).copied().unwrap_or(0);
        service.timeline.last().saturating_sub(seen)
    };
    services.iter().map(of).sum()
}
