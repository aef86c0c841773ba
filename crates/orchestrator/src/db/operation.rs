//! Tables `operation` and `operation_step`.

use chrono::{DateTime, Utc};
use proto::{OperationId, ProjectId};
use sqlx::{PgConnection, PgPool};

use crate::operation::{Kind, New, Outcome, StepState};

/// Steps of one operation that are kept; what comes after is in the log only.
const STEPS_MAX: i32 = 500;

/// A step's text is cut here, in characters.
const TEXT_CHARS_MAX: usize = 2_000;

/// A long action.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// Whose.
    pub project_id: ProjectId,
    /// See [`Kind`].
    pub kind: String,
    /// Of `restart_service` only.
    pub service: String,
    /// `running`, `succeeded`, `failed`, `superseded`.
    pub state: String,
    /// The stack's version that it brings about.
    pub version: i64,
    /// Of a failure.
    pub reason: String,
    /// Of a failure.
    pub message: String,
    /// Of a failure.
    pub hint: String,
    /// Who asked.
    pub actor: String,
    /// When it was asked.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The trace of whoever asked.
    pub traceparent: Option<String>,
}

/// One thing that was done.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Step {
    /// When.
    pub at: DateTime<Utc>,
    /// About which service; empty: none.
    pub service: String,
    /// For a person.
    pub text: String,
    /// See [`StepState`].
    pub state: String,
}

const COLUMNS: &str = "id, project_id, kind, service, state, version, reason, message, hint, actor, \
                       started_at, finished_at, traceparent";

/// Begins an operation; the one that runs is superseded.
///
/// # Errors
/// Of the database.
pub async fn begin(
    conn: &mut PgConnection,
    project: ProjectId,
    version: i64,
    new: &New<'_>,
) -> sqlx::Result<Operation> {
    sqlx::query(
        "UPDATE orchestrator.operation SET state = 'superseded', finished_at = now()
         WHERE project_id = $1 AND state = 'running'",
    )
    .bind(project)
    .execute(&mut *conn)
    .await?;
    let query = format!(
        "INSERT INTO orchestrator.operation
             (id, project_id, kind, service, version, actor, traceparent)
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING {COLUMNS}"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(OperationId::generate())
        .bind(project)
        .bind(new.kind.as_str())
        .bind(new.service)
        .bind(version)
        .bind(new.actor)
        .bind(telemetry::propagation::current_traceparent())
        .fetch_one(conn)
        .await
}

/// An operation by id.
///
/// # Errors
/// Of the database.
pub async fn get(pool: &PgPool, id: OperationId) -> sqlx::Result<Option<Operation>> {
    let query = format!("SELECT {COLUMNS} FROM orchestrator.operation WHERE id = $1");
    sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(id).fetch_optional(pool).await
}

/// The operation of a project that has not ended.
///
/// # Errors
/// Of the database.
pub async fn running(pool: &PgPool, project: ProjectId) -> sqlx::Result<Option<Operation>> {
    let query = format!(
        "SELECT {COLUMNS} FROM orchestrator.operation WHERE project_id = $1 AND state = 'running'"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(project).fetch_optional(pool).await
}

/// A project's operations before `before`, newest first.
///
/// # Errors
/// Of the database.
pub async fn page(
    pool: &PgPool,
    project: ProjectId,
    before: Option<OperationId>,
    limit: i64,
) -> sqlx::Result<Vec<Operation>> {
    let query = format!(
        "SELECT {COLUMNS} FROM orchestrator.operation
         WHERE project_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(project)
        .bind(before)
        .bind(limit)
        .fetch_all(pool)
        .await
}

/// What was done for an operation, oldest first.
///
/// # Errors
/// Of the database.
pub async fn steps(pool: &PgPool, id: OperationId) -> sqlx::Result<Vec<Step>> {
    sqlx::query_as(
        "SELECT at, service, text, state FROM orchestrator.operation_step
         WHERE operation_id = $1 ORDER BY number",
    )
    .bind(id)
    .fetch_all(pool)
    .await
}

/// Notes what was done, unless the operation has ended or has enough steps.
///
/// # Errors
/// Of the database.
pub async fn append(
    pool: &PgPool,
    id: OperationId,
    service: &str,
    text: &str,
    state: StepState,
) -> sqlx::Result<()> {
    let mut tx = pool.begin().await?;
    // The row's lock gives steps that end at the same time a number each. What comes after it is
    // a statement of its own: one sees only what was there when it began.
    let running = sqlx::query(
        "SELECT FROM orchestrator.operation WHERE id = $1 AND state = 'running' FOR UPDATE",
    )
    .bind(id)
    .fetch_optional(&mut *tx)
    .await?;
    if running.is_none() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO orchestrator.operation_step (operation_id, number, service, text, state)
         SELECT $1, n.number, $2, $3, $4
         FROM (SELECT coalesce(max(number), 0) + 1 AS number FROM orchestrator.operation_step
               WHERE operation_id = $1) AS n
         WHERE n.number <= $5",
    )
    .bind(id)
    .bind(service)
    .bind(clean(text))
    .bind(state.as_str())
    .bind(STEPS_MAX)
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// Ends an operation that has not ended.
///
/// # Errors
/// Of the database.
pub async fn finish(pool: &PgPool, id: OperationId, outcome: &Outcome) -> sqlx::Result<()> {
    let (state, reason, message, hint) = match outcome {
        Outcome::Succeeded => ("succeeded", "", "", ""),
        Outcome::Failed { reason, message, hint } => ("failed", &**reason, &**message, &**hint),
    };
    sqlx::query(
        "UPDATE orchestrator.operation
         SET state = $2, reason = $3, message = $4, hint = $5, finished_at = now()
         WHERE id = $1 AND state = 'running'",
    )
    .bind(id)
    .bind(state)
    .bind(reason)
    .bind(clean(message))
    .bind(hint)
    .execute(pool)
    .await
    .map(drop)
}

/// Removes operations that ended before `before`, at most `limit`; answers how many.
///
/// # Errors
/// Of the database.
pub async fn expire(pool: &PgPool, before: DateTime<Utc>, limit: i64) -> sqlx::Result<u64> {
    let removed = sqlx::query(
        "DELETE FROM orchestrator.operation WHERE id IN (
             SELECT id FROM orchestrator.operation WHERE finished_at < $1 LIMIT $2)",
    )
    .bind(before)
    .bind(limit)
    .execute(pool)
    .await?;
    Ok(removed.rows_affected())
}

/// How a kind is stored.
impl Kind {
    /// The text form in the table and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Remove => "remove",
            Self::RestartService => "restart_service",
        }
    }
}

/// Text that Postgres takes and people can read.
fn clean(text: &str) -> String {
    text.chars().filter(|&c| c != '\0').take(TEXT_CHARS_MAX).collect()
}
