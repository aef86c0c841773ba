//! Times at which jobs are enqueued by the clock. A schedule is a row that any replica may fire.

pub mod expression;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proto::{JobId, ProjectId};
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use crate::db;
use crate::enqueue::Template;
pub use expression::Schedule;

/// Schedules that one round fires, at most.
const BATCH_MAX: i64 = 100;

/// What a row is made of.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Unique, such as `source:<id>`.
    pub key: String,
    /// When; parse it with the same key.
    pub schedule: Schedule,
    /// Each run is put off by up to this, always the same for one key.
    pub jitter: Duration,
    /// What to enqueue; see [`crate::NewJob::template`].
    pub job: Template,
}

/// A row, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Row {
    /// Its key.
    pub key: String,
    /// The expression as given.
    pub expression: String,
    /// The zone.
    pub zone: String,
    /// Whether it rests.
    pub paused: bool,
    /// When it fires next.
    pub next_at: DateTime<Utc>,
    /// The last time it fired for.
    pub last_at: Option<DateTime<Utc>>,
}

/// Makes or changes a schedule in the caller's transaction. A pause stays; the next time is
/// computed anew only when expression or zone changed.
///
/// # Errors
/// When the database refuses or is away.
pub async fn upsert(connection: &mut PgConnection, spec: &Spec) -> Result<(), sqlx::Error> {
    // A parsed schedule has a next time; a century off stands for "never" if that ever changes.
    let now = Utc::now();
    let next_at = spec.schedule.next_after(now).unwrap_or_else(|| now + TimeDelta::days(36_500));
    sqlx::query(
        "INSERT INTO jobs.schedule AS schedule
             (key, expression, zone, jitter_s, next_at, kind, job_key, project_id, group_id,
              subject, payload, priority, expires_s)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::json, $12, $13)
         ON CONFLICT (key) DO UPDATE SET
             next_at = CASE WHEN (schedule.expression, schedule.zone)
                               = (excluded.expression, excluded.zone)
                            THEN schedule.next_at ELSE excluded.next_at END,
             expression = excluded.expression, zone = excluded.zone,
             jitter_s = excluded.jitter_s, kind = excluded.kind, job_key = excluded.job_key,
             project_id = excluded.project_id, group_id = excluded.group_id,
             subject = excluded.subject, payload = excluded.payload,
             priority = excluded.priority, expires_s = excluded.expires_s",
    )
    .bind(&spec.key)
    .bind(spec.schedule.expression())
    .bind(spec.schedule.zone())
    .bind(i32::try_from(spec.jitter.as_secs()).unwrap_or(i32::MAX))
    .bind(next_at)
    .bind(&spec.job.kind)
    .bind(&spec.job.key)
    .bind(spec.job.project)
    .bind(spec.job.group)
    .bind(&spec.job.subject)
    .bind(&spec.job.payload)
    .bind(i16::from(spec.job.priority))
    .bind(i64::try_from(spec.job.expires_s).unwrap_or(i64::MAX))
    .execute(connection)
    .await
    .map(drop)
}

/// Lets a schedule rest; true when there is one.
///
/// # Errors
/// When the database refuses or is away.
pub async fn pause(executor: impl PgExecutor<'_>, key: &str) -> Result<bool, sqlx::Error> {
    let query = sqlx::query("UPDATE jobs.schedule SET paused = true WHERE key = $1");
    Ok(query.bind(key).execute(executor).await?.rows_affected() == 1)
}

/// Ends a pause; a time that passed meanwhile is caught up on once. True when there is one.
///
/// # Errors
/// When the database refuses or is away.
pub async fn resume(executor: impl PgExecutor<'_>, key: &str) -> Result<bool, sqlx::Error> {
    let query = sqlx::query("UPDATE jobs.schedule SET paused = false WHERE key = $1");
    Ok(query.bind(key).execute(executor).await?.rows_affected() == 1)
}

/// Removes a schedule; true when there was one.
///
/// # Errors
/// When the database refuses or is away.
pub async fn remove(executor: impl PgExecutor<'_>, key: &str) -> Result<bool, sqlx::Error> {
    let query = sqlx::query("DELETE FROM jobs.schedule WHERE key = $1");
    Ok(query.bind(key).execute(executor).await?.rows_affected() == 1)
}

/// One schedule.
///
/// # Errors
/// When the database refuses or is away.
pub async fn get(executor: impl PgExecutor<'_>, key: &str) -> Result<Option<Row>, sqlx::Error> {
    sqlx::query_as(
        "SELECT key, expression, zone, paused, next_at, last_at FROM jobs.schedule WHERE key = $1",
    )
    .bind(key)
    .fetch_optional(executor)
    .await
}

/// A row that is due.
#[derive(Debug, sqlx::FromRow)]
struct Due {
    key: String,
    expression: String,
    zone: String,
    jitter_s: i32,
    next_at: DateTime<Utc>,
    kind: String,
    job_key: Option<String>,
    project_id: Option<ProjectId>,
    group_id: Option<Uuid>,
    subject: String,
    payload: String,
    priority: i16,
    expires_s: i64,
    now: DateTime<Utc>,
}

/// Fires what is due among schedules of `kinds`, and says how many it was. Any number of replicas
/// may call this at once: a row is locked by one, and a tick is unique.
///
/// # Errors
/// When the database refuses or is away; what was not committed is fired by the next call.
pub async fn fire_due(pool: &PgPool, kinds: &[String]) -> Result<usize, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let due: Vec<Due> = sqlx::query_as(
        "SELECT key, expression, zone, jitter_s, next_at, kind, job_key, project_id, group_id,
                subject, payload::text, priority, expires_s, now() AS now
         FROM jobs.schedule WHERE NOT paused AND next_at <= now() AND kind = ANY($1)
         ORDER BY next_at LIMIT $2 FOR UPDATE SKIP LOCKED",
    )
    .bind(kinds)
    .bind(BATCH_MAX)
    .fetch_all(&mut *transaction)
    .await?;
    for row in &due {
        fire(&mut transaction, row).await?;
    }
    transaction.commit().await?;
    Ok(due.len())
}

/// Catch-up is `last`: of the ticks that passed while nobody looked, the latest fires.
async fn fire(connection: &mut PgConnection, row: &Due) -> Result<(), sqlx::Error> {
    let Ok(schedule) = Schedule::parse(&row.expression, &row.zone, &row.key) else {
        // Only a newer program's expression can be unknown to us; its replicas will fire it.
        tracing::error!(schedule = row.key, expression = row.expression, "unknown schedule");
        return Ok(());
    };
    let tick = schedule.latest(row.now).filter(|&tick| tick > row.next_at).unwrap_or(row.next_at);
    let next_at = schedule.next_after(row.now.max(tick));
    let update = "UPDATE jobs.schedule
        SET last_at = $2, next_at = coalesce($3, now() + interval '100 years') WHERE key = $1";
    sqlx::query(update).bind(&row.key).bind(tick).bind(next_at).execute(&mut *connection).await?;
    if is_fired(connection, &row.key, tick).await? {
        return Ok(());
    }
    let job = enqueue(connection, row).await?;
    sqlx::query("INSERT INTO jobs.schedule_tick (schedule_key, tick, job_id) VALUES ($1, $2, $3)")
        .bind(&row.key)
        .bind(tick)
        .bind(job)
        .execute(connection)
        .await
        .map(drop)
}

async fn is_fired(
    connection: &mut PgConnection,
    key: &str,
    tick: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM jobs.schedule_tick WHERE schedule_key = $1 AND tick = $2)",
    )
    .bind(key)
    .bind(tick)
    .fetch_one(connection)
    .await
}

/// A job that is still at work on the last tick serves this one too: a tick is no change that
/// could be missed.
async fn enqueue(connection: &mut PgConnection, row: &Due) -> Result<JobId, sqlx::Error> {
    if let Some(key) = &row.job_key
        && let Some(job) = db::enqueue::unfinished(connection, &row.kind, key).await?
    {
        return Ok(job);
    }
    let template = Template {
        kind: row.kind.clone(),
        payload: row.payload.clone(),
        key: row.job_key.clone(),
        project: row.project_id,
        group: row.group_id,
        subject: row.subject.clone(),
        priority: u8::try_from(row.priority).unwrap_or_default(),
        expires_s: u64::try_from(row.expires_s).unwrap_or_default(),
    };
    let jitter_s = u64::try_from(row.jitter_s).unwrap_or_default();
    let put_off_s = expression::fnv1a(&row.key) % (jitter_s + 1);
    let due = row.now + Duration::from_secs(put_off_s);
    Ok(db::enqueue::insert(connection, &template, Some(due), None).await?.id)
}
