//! How work enters the ledger: in the transaction of the caller's own rows.

use chrono::{DateTime, Utc};
use proto::{JobId, ProjectId};
use sqlx::PgConnection;
use telemetry::propagation::current_traceparent;
use uuid::Uuid;

use crate::db;
use crate::job::{Job, PRIORITY_DEFAULT, PRIORITY_MAX, PRIORITY_MIN};

/// A job to enqueue.
#[derive(Debug)]
pub struct NewJob<'a, J> {
    /// The payload.
    pub job: &'a J,
    /// Unique among the unfinished jobs of the kind. Enqueuing a key that waits replaces its
    /// payload; enqueuing one that runs makes it run again afterwards, so that no change is
    /// missed.
    pub key: Option<String>,
    /// Whose work it is.
    pub project: Option<ProjectId>,
    /// What asked for it, such as a source; lists can be narrowed to it.
    pub group: Option<Uuid>,
    /// What it is about, for people: a URL, a title. Cut at 500 characters.
    pub subject: String,
    /// 1 to 10; others are brought into the range.
    pub priority: u8,
    /// Not before; now when none.
    pub due: Option<DateTime<Utc>>,
}

impl<'a, J: Job> NewJob<'a, J> {
    /// A job of ordinary priority, due now.
    #[must_use]
    pub fn new(job: &'a J, subject: impl Into<String>) -> Self {
        Self {
            job,
            key: None,
            project: None,
            group: None,
            subject: subject.into(),
            priority: PRIORITY_DEFAULT,
            due: None,
        }
    }

    /// Sets the key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the project.
    #[must_use]
    pub fn project(mut self, project: impl Into<Option<ProjectId>>) -> Self {
        self.project = project.into();
        self
    }

    /// Sets the group.
    #[must_use]
    pub fn group(mut self, group: impl Into<Option<Uuid>>) -> Self {
        self.group = group.into();
        self
    }

    /// Sets the priority.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// Sets the time before which it does not run.
    #[must_use]
    pub fn due(mut self, due: impl Into<Option<DateTime<Utc>>>) -> Self {
        self.due = due.into();
        self
    }

    /// The job as rows hold it.
    ///
    /// # Errors
    /// When the payload has no JSON form.
    pub fn template(&self) -> Result<Template, serde_json::Error> {
        Ok(Template {
            kind: J::KIND.to_owned(),
            payload: serde_json::to_string(self.job)?,
            key: self.key.clone(),
            project: self.project,
            group: self.group,
            subject: db::text(&self.subject, db::SUBJECT_CHARS_MAX),
            priority: self.priority.clamp(PRIORITY_MIN, PRIORITY_MAX),
            expires_s: J::LIMITS.expires_s,
        })
    }
}

/// A job without its type: what a schedule keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The kind.
    pub kind: String,
    /// The payload as JSON text.
    pub payload: String,
    /// See [`NewJob::key`].
    pub key: Option<String>,
    /// See [`NewJob::project`].
    pub project: Option<ProjectId>,
    /// See [`NewJob::group`].
    pub group: Option<Uuid>,
    /// See [`NewJob::subject`].
    pub subject: String,
    /// 1 to 10.
    pub priority: u8,
    /// See [`crate::Limits::expires_s`].
    pub expires_s: u64,
}

/// What became of an enqueued job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    /// The job that will do the work.
    pub id: JobId,
    /// False when an unfinished job with the same key takes it on.
    pub fresh: bool,
}

/// Enqueues one job on the caller's connection, so that it commits with the caller's rows.
///
/// # Errors
/// When the database refuses or is away, or the payload has no JSON form.
pub async fn enqueue<J: Job>(
    connection: &mut PgConnection,
    new: NewJob<'_, J>,
) -> Result<Enqueued, sqlx::Error> {
    let template = new.template().map_err(|error| sqlx::Error::Encode(error.into()))?;
    let traceparent = current_traceparent();
    db::enqueue::insert(connection, &template, new.due, traceparent.as_deref()).await
}

/// Enqueues many jobs, in order, on the caller's connection.
///
/// # Errors
/// As [`enqueue`]; the caller's transaction is then to be rolled back.
pub async fn enqueue_many<'a, J: Job>(
    connection: &mut PgConnection,
    new: impl IntoIterator<Item = NewJob<'a, J>>,
) -> Result<Vec<Enqueued>, sqlx::Error> {
    let mut enqueued = Vec::new();
    for new in new {
        enqueued.push(enqueue(&mut *connection, new).await?);
    }
    Ok(enqueued)
}
