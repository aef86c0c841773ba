//! Jobs as REST shows them.

use std::collections::BTreeMap;

use ::jobs::ledger::{self, Record, State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::projects::Names;

/// A piece of background work.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Job {
    /// Its id.
    pub(crate) id: String,
    /// What kind of work, such as `ingestion.fetch`.
    pub(crate) kind: String,
    /// The slug of its project; empty when it belongs to none.
    pub(crate) project: String,
    /// The id of its project.
    pub(crate) project_id: String,
    /// What it is about: an address, a title.
    pub(crate) subject: String,
    /// `queued`, `running`, `done`, `dead` or `cancelled`.
    pub(crate) state: &'static str,
    /// Attempts that counted.
    pub(crate) attempt: u32,
    /// How often its worker died with it.
    pub(crate) crashes: u32,
    /// 1 to 10; 10 comes first.
    pub(crate) priority: u32,
    /// When it was made.
    pub(crate) created_at: Option<DateTime<Utc>>,
    /// When it is or was due.
    pub(crate) due_at: Option<DateTime<Utc>>,
    /// When it was last taken up.
    pub(crate) started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub(crate) finished_at: Option<DateTime<Utc>>,
    /// What last went wrong; empty when nothing did.
    pub(crate) last_error: String,
    /// The source that asked for it; empty when none did.
    pub(crate) source_id: String,
    /// 0 to 1; absent when it cannot tell.
    pub(crate) progress: Option<f64>,
    /// What it is doing.
    pub(crate) progress_text: String,
    /// Each time it was taken up, the latest first; only for a single job.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) attempts: Vec<Attempt>,
}

/// One time that a job was taken up.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Attempt {
    /// Counts from 1.
    pub(crate) number: u32,
    /// When it began.
    pub(crate) started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub(crate) finished_at: Option<DateTime<Utc>>,
    /// `done`, `permanent`, `transient`, `rate_limited`, `crashed`, `yielded`, `handed_back` or
    /// `cancelled`; empty while it runs.
    pub(crate) outcome: String,
    /// What went wrong.
    pub(crate) error: String,
    /// The worker process.
    pub(crate) worker: String,
}

/// Dead jobs of one kind with one cause.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct DeadGroup {
    /// The error with what differs from job to job taken out.
    pub(crate) signature: String,
    /// What kind of work.
    pub(crate) kind: String,
    /// How many jobs.
    pub(crate) count: u64,
    /// The latest one's error.
    pub(crate) sample: String,
    /// When the first died.
    pub(crate) first_seen: Option<DateTime<Utc>>,
    /// When the last died.
    pub(crate) last_seen: Option<DateTime<Utc>>,
}

/// How many jobs there are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Counts {
    /// Wait for a worker or their time.
    pub(crate) queued: u64,
    /// Are being done.
    pub(crate) running: u64,
    /// Ended well, in the last three days.
    pub(crate) done: u64,
    /// Gave up.
    pub(crate) dead: u64,
    /// Were ended by a person.
    pub(crate) cancelled: u64,
}

impl Counts {
    /// Each state with its count.
    pub(crate) fn tabs(&self) -> [(&'static str, u64); 5] {
        [
            ("queued", self.queued),
            ("running", self.running),
            ("done", self.done),
            ("dead", self.dead),
            ("cancelled", self.cancelled),
        ]
    }
}

impl From<BTreeMap<State, u64>> for Counts {
    fn from(counts: BTreeMap<State, u64>) -> Self {
        let of = |state| counts.get(&state).copied().unwrap_or(0);
        Self {
            queued: of(State::Queued),
            running: of(State::Running),
            done: of(State::Done),
            dead: of(State::Dead),
            cancelled: of(State::Cancelled),
        }
    }
}

impl Job {
    /// From the ledger, with its project's slug.
    pub(crate) fn new(record: Record, attempts: Vec<ledger::Attempt>, names: &Names) -> Self {
        let progress = record.progress();
        let project_id = record.project.map(|id| id.to_string()).unwrap_or_default();
        Self {
            project: names.slug(&project_id),
            project_id,
            progress,
            id: record.id.to_string(),
            kind: record.kind,
            subject: record.subject,
            state: record.state.as_str(),
            attempt: record.attempt.unsigned_abs(),
            crashes: record.crashes.unsigned_abs(),
            priority: u32::from(record.priority.unsigned_abs()),
            created_at: Some(record.created_at),
            due_at: Some(record.due_at),
            started_at: record.started_at,
            finished_at: record.finished_at,
            last_error: record.last_error.unwrap_or_default(),
            source_id: record.group.map(|id| id.to_string()).unwrap_or_default(),
            progress_text: record.progress_text.unwrap_or_default(),
            attempts: attempts.into_iter().map(Attempt::from).collect(),
        }
    }
}

impl From<ledger::Attempt> for Attempt {
    fn from(attempt: ledger::Attempt) -> Self {
        Self {
            number: attempt.number.unsigned_abs(),
            started_at: Some(attempt.started_at),
            finished_at: attempt.finished_at,
            outcome: attempt.outcome.unwrap_or_default(),
            error: attempt.error.unwrap_or_default(),
            worker: attempt.worker.to_string(),
        }
    }
}

impl From<ledger::DeadGroup> for DeadGroup {
    fn from(group: ledger::DeadGroup) -> Self {
        Self {
            signature: group.signature,
            kind: group.kind,
            count: group.count.unsigned_abs(),
            sample: group.sample,
            first_seen: Some(group.first_seen),
            last_seen: Some(group.last_seen),
        }
    }
}
