//! What a job can see and do while it runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use proto::{JobId, ProjectId};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{PgConnection, PgPool};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::db;
use crate::error::Error;

/// Progress is for people, so it is written at most this often.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// One attempt at a job, as the job sees it. Clones are the same run.
#[derive(Debug, Clone)]
pub struct Run {
    /// The job.
    pub id: JobId,
    /// Its kind.
    pub kind: &'static str,
    /// 1 for the first; attempts that were not charged are not counted.
    pub attempt: u32,
    /// Whose work it is.
    pub project: Option<ProjectId>,
    /// What asked for it.
    pub group: Option<Uuid>,
    /// 1 to 10.
    pub priority: u8,
    /// The trace of whoever enqueued it.
    pub traceparent: Option<String>,
    pub(crate) lease: Arc<Lease>,
}

/// What a run shares with its worker.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) id: JobId,
    pub(crate) token: Uuid,
    pub(crate) pool: PgPool,
    pub(crate) slice_ends: Instant,
    /// Fires when the worker drains.
    pub(crate) drain: CancellationToken,
    /// Fires once there is a reason to stop.
    pub(crate) stop: CancellationToken,
    pub(crate) reason: OnceLock<StopReason>,
    pub(crate) notes: Mutex<Notes>,
    /// Whether this run has moved the cursor or reported more done.
    pub(crate) advanced: AtomicBool,
}

/// Why a run must stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// Another worker may have the job.
    LeaseLost,
    /// A person asked.
    Cancelled,
    /// The worker drains and its patience is over.
    Drain,
}

/// What a run has noted down so far.
#[derive(Debug)]
pub(crate) struct Notes {
    pub(crate) cursor: Option<String>,
    pub(crate) done: i64,
    pub(crate) written: Option<Instant>,
    /// When the run began, moved its cursor, or had more done.
    pub(crate) advanced_at: Instant,
}

impl Lease {
    /// Tells the run to stop; the first reason stands.
    pub(crate) fn stop(&self, reason: StopReason) {
        self.reason.get_or_init(|| reason);
        self.stop.cancel();
    }

    /// Waits until there was no progress for `limit`, or until `end`.
    pub(crate) async fn stalled(&self, limit: Duration, end: Instant) {
        loop {
            let until = (self.notes().advanced_at + limit).min(end);
            if Instant::now() >= until {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    fn advance(&self, notes: &mut Notes) {
        notes.advanced_at = Instant::now();
        self.advanced.store(true, Ordering::Relaxed);
    }

    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    /// Where the last run left off; none at the first run, and when the form has changed since.
    #[must_use]
    pub fn cursor<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(self.lease.notes().cursor.as_ref()?).ok()
    }

    /// Notes where a later run is to go on.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when another worker has the job by now.
    pub async fn save_cursor<T: Serialize>(&self, cursor: &T) -> Result<(), Error> {
        let mut connection = self.lease.pool.acquire().await?;
        self.save_cursor_in(&mut connection, cursor).await
    }

    /// Like [`Run::save_cursor`], in the transaction of the effects that the cursor stands for.
    ///
    /// # Errors
    /// [`Error::LeaseLost`]: roll back.
    pub async fn save_cursor_in<T: Serialize>(
        &self,
        connection: &mut PgConnection,
        cursor: &T,
    ) -> Result<(), Error> {
        let text =
            serde_json::to_string(cursor).map_err(|error| sqlx::Error::Encode(error.into()))?;
        if !db::lease::save_cursor(connection, self.id, self.lease.token, &text).await? {
            return Err(Error::LeaseLost);
        }
        let mut notes = self.lease.notes();
        if notes.cursor.as_ref() != Some(&text) {
            notes.cursor = Some(text);
            self.lease.advance(&mut notes);
        }
        Ok(())
    }

    /// Holds the lease until the caller's transaction ends: effects in it commit only under the
    /// lease, although the job goes on.
    ///
    /// # Errors
    /// [`Error::LeaseLost`]: roll back.
    pub async fn fence(&self, connection: &mut PgConnection) -> Result<(), Error> {
        if db::lease::hold(connection, self.id, self.lease.token).await? {
            return Ok(());
        }
        Err(Error::LeaseLost)
    }

    /// Marks the job done in the transaction of its effects; then return
    /// [`Outcome::Completed`](crate::Outcome::Completed).
    ///
    /// # Errors
    /// [`Error::LeaseLost`]: roll back, another worker has the job.
    pub async fn complete(&self, connection: &mut PgConnection) -> Result<(), Error> {
        if db::settle::complete(connection, self.id, self.lease.token).await? {
            return Ok(());
        }
        Err(Error::LeaseLost)
    }

    /// Reports progress to people. Written now and then only, and a failure to write is no
    /// failure of the job.
    pub async fn progress(&self, done: u64, total: Option<u64>, text: &str) {
        let done = i64::try_from(done).unwrap_or(i64::MAX);
        let total = total.map(|total| i64::try_from(total).unwrap_or(i64::MAX));
        if !self.note_progress(done, total == Some(done)) {
            return;
        }
        let written =
            db::lease::progress(&self.lease.pool, self.id, self.lease.token, done, total, text);
        if let Err(error) = written.await {
            tracing::debug!(job = %self.id, error = %error, "progress was not written");
        }
    }

    /// Whether this progress is to be written.
    fn note_progress(&self, done: i64, last: bool) -> bool {
        let mut notes = self.lease.notes();
        if done > notes.done {
            notes.done = done;
            self.lease.advance(&mut notes);
        }
        let due = notes.written.is_none_or(|at| at.elapsed() >= PROGRESS_INTERVAL);
        if due || last {
            notes.written = Some(Instant::now());
        }
        due || last
    }

    /// Waits until the run must stop: the lease is lost, a person cancelled the job, or the worker
    /// drains and its patience is over. A run that does not listen is ended a second later.
    pub async fn cancelled(&self) {
        self.lease.stop.cancelled().await;
    }

    /// Whether [`Run::cancelled`] has fired.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.lease.stop.is_cancelled()
    }

    /// Whether long work should save its cursor and return
    /// [`Outcome::Yield`](crate::Outcome::Yield): the slice is over or the worker drains.
    #[must_use]
    pub fn should_yield(&self) -> bool {
        Instant::now() >= self.lease.slice_ends
            || self.lease.drain.is_cancelled()
            || self.lease.stop.is_cancelled()
    }
}
