//! What people see of the ledger and do to it.

pub mod act;
pub mod dead;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use proto::{Failure, JobId, ProjectId};
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

pub use act::{cancel, cancel_group, pause_kind, resume_kind, retry};
pub use dead::{DeadGroup, dead_groups, discard_dead, retry_dead};

/// Jobs on one page, at most.
pub const PAGE_SIZE_MAX: u32 = 200;

/// Attempts shown of one job, at most: the newest.
const ATTEMPTS_MAX: i64 = 50;

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum State {
    /// Waits for a worker, or for its due time.
    Queued,
    /// A worker has it.
    Running,
    /// Ended well.
    Done,
    /// Ended badly; only a person brings it back.
    Dead,
    /// A person ended it.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::Queued, Self::Running, Self::Done, Self::Dead, Self::Cancelled];

    /// The text form in tables and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
            Failure::invalid(
                "state",
                format!(
                    "there is no job state {text:?}; use queued, running, done, dead, cancelled"
                ),
            )
        })
    }
}

/// A job as people see it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Record {
    /// Its id.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// Whose work it is.
    #[sqlx(rename = "project_id")]
    pub project: Option<ProjectId>,
    /// What asked for it.
    #[sqlx(rename = "group_id")]
    pub group: Option<Uuid>,
    /// What it is about.
    pub subject: String,
    /// Where it is.
    pub state: State,
    /// Charged attempts.
    pub attempt: i32,
    /// Crashes since the last orderly end.
    pub crashes: i32,
    /// 1 to 10.
    pub priority: i16,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When it is or was due.
    pub due_at: DateTime<Utc>,
    /// When it was last claimed.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// What last went wrong.
    pub last_error: Option<String>,
    /// How much is done, in units of the job's own.
    pub progress_done: Option<i64>,
    /// Of how much.
    pub progress_total: Option<i64>,
    /// What it is doing.
    pub progress_text: Option<String>,
}

/// The columns of [`Record`]. Were it `*`, a new column would break the statements that a running
/// process has prepared.
macro_rules! record {
    () => {
        "id, kind, project_id, group_id, subject, state, attempt, crashes, priority, created_at,
         due_at, started_at, finished_at, last_error, progress_done, progress_total, progress_text"
    };
}
pub(crate) use record;

impl Record {
    /// 0 to 1; none when the job cannot tell.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share for a progress bar")]
    pub fn progress(&self) -> Option<f64> {
        if self.state == State::Done {
            return Some(1.0);
        }
        let total = self.progress_total.filter(|&total| total > 0)?;
        Some((self.progress_done? as f64 / total as f64).clamp(0.0, 1.0))
    }
}

/// One claim of a job.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Attempt {
    /// Counted from 1.
    pub number: i32,
    /// The worker process.
    pub worker: Uuid,
    /// When it was claimed.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// done, permanent, transient, `rate_limited`, crashed, yielded, `handed_back`, cancelled.
    pub outcome: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
}

/// Which jobs; an empty list does not narrow.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only these projects; none means all, and those of no project.
    pub projects: Option<Vec<ProjectId>>,
    /// Only these states.
    pub states: Vec<State>,
    /// Only these kinds.
    pub kinds: Vec<String>,
    /// Only what these asked for.
    pub groups: Vec<Uuid>,
    /// Only these jobs.
    pub ids: Vec<JobId>,
    /// Only dead ones with this signature.
    pub signature: Option<String>,
}

/// Binds a filter as `$1` to `$6`.
macro_rules! bind_filter {
    ($query:expr, $filter:expr) => {{
        let filter: &Filter = $filter;
        let projects = filter.projects.as_ref();
        let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
        $query
            .bind(projects.map(|ids| ids.iter().map(|id| id.0).collect::<Vec<_>>()))
            .bind((!states.is_empty()).then_some(states))
            .bind((!filter.kinds.is_empty()).then(|| filter.kinds.clone()))
            .bind((!filter.groups.is_empty()).then(|| filter.groups.clone()))
            .bind(
                (!filter.ids.is_empty())
                    .then(|| filter.ids.iter().map(|id| id.0).collect::<Vec<_>>()),
            )
            .bind(filter.signature.clone())
    }};
}
/// The condition that a filter bound by `bind_filter` makes.
macro_rules! filtered {
    ($before:expr, $after:literal) => {
        concat!(
            $before,
            " ($1::uuid[] IS NULL OR job.project_id = ANY($1))
              AND ($2::text[] IS NULL OR job.state = ANY($2))
              AND ($3::text[] IS NULL OR job.kind = ANY($3))
              AND ($4::uuid[] IS NULL OR job.group_id = ANY($4))
              AND ($5::uuid[] IS NULL OR job.id = ANY($5))
              AND ($6::text IS NULL OR job.error_signature = $6) ",
            $after
        )
    };
}
pub(crate) use {bind_filter, filtered};

/// One job with its newest attempts, the latest first.
///
/// # Errors
/// `NOT_FOUND`, or what the database said.
pub async fn get(pool: &PgPool, id: JobId) -> Result<(Record, Vec<Attempt>), Failure> {
    let record: Option<Record> =
        sqlx::query_as(concat!("SELECT ", record!(), " FROM jobs.job WHERE id = $1"))
            .bind(id)
            .fetch_optional(pool)
            .await
            .map_err(database::failure)?;
    let record = record.ok_or_else(|| Failure::not_found("job", id))?;
    let attempts = sqlx::query_as(
        "SELECT number, worker, started_at, finished_at, outcome, error FROM jobs.attempt
         WHERE job_id = $1 ORDER BY number DESC LIMIT $2",
    )
    .bind(id)
    .bind(ATTEMPTS_MAX)
    .fetch_all(pool)
    .await
    .map_err(database::failure)?;
    Ok((record, attempts))
}

/// Where a page of a list begins, and how long it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Page {
    /// Jobs older than this one; from the newest when none.
    pub before: Option<JobId>,
    /// Up to [`PAGE_SIZE_MAX`]; 0 means 50.
    pub size: u32,
}

impl Page {
    fn rows(self) -> i64 {
        const DEFAULT: u32 = 50;
        i64::from(if self.size == 0 { DEFAULT } else { self.size.min(PAGE_SIZE_MAX) })
    }
}

/// Jobs, the newest first; the next page goes on before the last one's id.
///
/// # Errors
/// What the database said.
pub async fn list(
    executor: impl PgExecutor<'_>,
    filter: &Filter,
    page: Page,
) -> Result<Vec<Record>, Failure> {
    let query = sqlx::query_as(filtered!(
        concat!("SELECT ", record!(), " FROM jobs.job AS job WHERE"),
        "AND ($7::uuid IS NULL OR job.id < $7) ORDER BY job.id DESC LIMIT $8"
    ));
    bind_filter!(query, filter)
        .bind(page.before)
        .bind(page.rows())
        .fetch_all(executor)
        .await
        .map_err(database::failure)
}

/// Jobs that run, and those that came, began, ended or fell due since `since`, for live views: at
/// most [`PAGE_SIZE_MAX`], the newest first. Only those of `projects`; of all when none.
///
/// # Errors
/// What the database said.
pub async fn changes(
    executor: impl PgExecutor<'_>,
    projects: Option<&[ProjectId]>,
    since: DateTime<Utc>,
) -> Result<Vec<Record>, Failure> {
    sqlx::query_as(concat!(
        "WITH changed AS MATERIALIZED (
             SELECT id FROM jobs.job WHERE state = 'running'
             UNION SELECT id FROM jobs.job WHERE changed_at >= $2
             UNION SELECT id FROM jobs.job
             WHERE state = 'queued' AND due_at BETWEEN $2 AND now())
         SELECT ",
        record!(),
        " FROM changed JOIN jobs.job USING (id)
         WHERE ($1::uuid[] IS NULL OR project_id = ANY($1))
         ORDER BY id DESC LIMIT $3",
    ))
    .bind(projects.map(|ids| ids.iter().map(|id| id.0).collect::<Vec<_>>()))
    .bind(since)
    .bind(i64::from(PAGE_SIZE_MAX))
    .fetch_all(executor)
    .await
    .map_err(database::failure)
}

/// How many jobs there are in each state; states without any are left out.
///
/// # Errors
/// What the database said.
pub async fn counts(
    executor: impl PgExecutor<'_>,
    filter: &Filter,
) -> Result<BTreeMap<State, u64>, Failure> {
    let query = sqlx::query_as::<_, (State, i64)>(filtered!(
        "SELECT state, count(*) FROM jobs.job AS job WHERE",
        "GROUP BY state"
    ));
    let rows = bind_filter!(query, filter).fetch_all(executor).await.map_err(database::failure)?;
    Ok(rows.into_iter().map(|(state, n)| (state, n.unsigned_abs())).collect())
}

/// How many jobs of a kind wait, counted up to `max`: what a receiver refuses more work by.
///
/// # Errors
/// When the database does.
pub async fn waiting(
    executor: impl PgExecutor<'_>,
    kind: &str,
    max: u32,
) -> Result<u64, sqlx::Error> {
    let waiting: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (
             SELECT FROM jobs.job
             WHERE kind = $1 AND state = 'queued' AND crashes = 0 LIMIT $2) waiting",
    )
    .bind(kind)
    .bind(i64::from(max))
    .fetch_one(executor)
    .await?;
    Ok(waiting.unsigned_abs())
}

/// Whether a job of this kind and key is unfinished, or died within `rest`: whoever enqueues what
/// is still missing again and again asks this first, so that a job which cannot succeed leaves one
/// dead letter in that time and not one with every look.
///
/// # Errors
/// When the database does.
pub async fn is_tried(
    executor: impl PgExecutor<'_>,
    kind: &str,
    key: &str,
    rest: std::time::Duration,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM jobs.job
             WHERE kind = $1 AND key = $2 AND state IN ('queued', 'running'))
         OR EXISTS (SELECT FROM jobs.job
             WHERE kind = $1 AND key = $2 AND state = 'dead'
               AND finished_at > now() - $3 * interval '1 second')",
    )
    .bind(kind)
    .bind(key)
    .bind(rest.as_secs_f64())
    .fetch_one(executor)
    .await
}
