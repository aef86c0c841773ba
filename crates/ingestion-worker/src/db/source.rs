//! Table `source`.

use chrono::{DateTime, Utc};
use proto::{Failure, ProjectId, Reason, SourceId};
use sqlx::{FromRow, PgConnection, PgPool};
use url::Url;

use crate::fetch::place;
use crate::source::{Draft, Kind, Options, Schedule, Source};

/// A row as it lies in the table.
#[derive(FromRow)]
struct Row {
    id: SourceId,
    project_id: ProjectId,
    kind: String,
    name: String,
    url: String,
    priority: i16,
    schedule_expression: String,
    schedule_zone: String,
    paused: bool,
    held: bool,
    credential_kind: String,
    credential: Option<Vec<u8>>,
    first_import_items: i32,
    first_import_days: i32,
    full_text: bool,
    version: i64,
    deleting: bool,
    created_at: DateTime<Utc>,
    scheduled_at: DateTime<Utc>,
    imported_at: Option<DateTime<Utc>>,
    last_run_at: Option<DateTime<Utc>>,
    last_success_at: Option<DateTime<Utc>>,
    last_error: String,
    consecutive_failures: i32,
}

/// The columns of [`Row`]. Were it `*`, a new column would break the statements that a running
/// process has prepared.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, project_id, kind, name, url, priority, schedule_expression, schedule_zone,
                    paused, held, credential_kind, credential, first_import_items,
                    first_import_days, full_text, version, deleting, created_at, scheduled_at,
                    imported_at, last_run_at, last_success_at, last_error, consecutive_failures
             FROM ingestion.source ",
            $rest
        )
    };
}

impl From<Row> for Source {
    fn from(row: Row) -> Self {
        let unsigned = |number: i32| u32::try_from(number).unwrap_or(0);
        Self {
            id: row.id,
            version: row.version,
            draft: Draft {
                project: row.project_id,
                kind: if row.kind == Kind::Feed.as_str() { Kind::Feed } else { Kind::Manual },
                name: row.name,
                url: row.url,
                priority: u8::try_from(row.priority).unwrap_or(crate::source::PRIORITY_DEFAULT),
                schedule: Schedule { expression: row.schedule_expression, zone: row.schedule_zone },
                paused: row.paused,
                options: Options {
                    first_import_items: unsigned(row.first_import_items),
                    first_import_days: unsigned(row.first_import_days),
                    full_text: row.full_text,
                },
            },
            credential_kind: row.credential_kind,
            credential: row.credential,
            held: row.held,
            deleting: row.deleting,
            created_at: row.created_at,
            scheduled_at: row.scheduled_at,
            imported_at: row.imported_at,
            last_run_at: row.last_run_at,
            last_success_at: row.last_success_at,
            last_error: row.last_error,
            consecutive_failures: unsigned(row.consecutive_failures),
        }
    }
}

/// Stores a new source.
///
/// # Errors
/// Of the database; [`taken`] tells a name or URL that another source has.
pub async fn insert(conn: &mut PgConnection, source: &Source) -> sqlx::Result<()> {
    let draft = &source.draft;
    sqlx::query(
        "INSERT INTO ingestion.source (
             id, project_id, kind, name, url, priority, schedule_expression, schedule_zone, paused,
             credential_kind, credential, first_import_items, first_import_days, full_text)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(source.id)
    .bind(draft.project)
    .bind(draft.kind.as_str())
    .bind(&draft.name)
    .bind(&draft.url)
    .bind(i16::from(draft.priority))
    .bind(&draft.schedule.expression)
    .bind(&draft.schedule.zone)
    .bind(draft.paused)
    .bind(&source.credential_kind)
    .bind(&source.credential)
    .bind(signed(draft.options.first_import_items))
    .bind(signed(draft.options.first_import_days))
    .bind(draft.options.full_text)
    .execute(conn)
    .await
    .map(drop)
}

/// The one source, also while it is being deleted.
///
/// # Errors
/// Of the database.
pub async fn get(pool: &PgPool, id: SourceId) -> sqlx::Result<Option<Source>> {
    let row: Option<Row> =
        sqlx::query_as(select!("WHERE id = $1")).bind(id).fetch_optional(pool).await?;
    Ok(row.map(Source::from))
}

/// The one source, locked against edits, deletion and other runs until the transaction ends.
///
/// # Errors
/// Of the database.
pub async fn lock(conn: &mut PgConnection, id: SourceId) -> sqlx::Result<Option<Source>> {
    let row: Option<Row> =
        sqlx::query_as(select!("WHERE id = $1 FOR UPDATE")).bind(id).fetch_optional(conn).await?;
    Ok(row.map(Source::from))
}

/// The source of this name in the project, unless it is being deleted.
///
/// # Errors
/// Of the database.
pub async fn by_name(
    pool: &PgPool,
    project: ProjectId,
    name: &str,
) -> sqlx::Result<Option<Source>> {
    let row: Option<Row> =
        sqlx::query_as(select!("WHERE project_id = $1 AND name = $2 AND NOT deleting"))
            .bind(project)
            .bind(name)
            .fetch_optional(pool)
            .await?;
    Ok(row.map(Source::from))
}

/// The source that reads this URL in the project, unless it is being deleted.
///
/// # Errors
/// Of the database.
pub async fn by_url(
    pool: &PgPool,
    project: ProjectId,
    kind: Kind,
    url: &str,
) -> sqlx::Result<Option<Source>> {
    let row: Option<Row> = sqlx::query_as(select!(
        "WHERE project_id = $1 AND kind = $2 AND url = $3 AND NOT deleting"
    ))
    .bind(project)
    .bind(kind.as_str())
    .bind(url)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(Source::from))
}

/// Up to `limit` sources after `after`, in the order of their making. `projects`: `None` means
/// all; an empty `kind` means each.
///
/// # Errors
/// Of the database.
pub async fn page(
    pool: &PgPool,
    projects: Option<&[ProjectId]>,
    kind: &str,
    after: SourceId,
    limit: i64,
) -> sqlx::Result<Vec<Source>> {
    let rows: Vec<Row> = sqlx::query_as(select!(
        "WHERE ($1::uuid[] IS NULL OR project_id = ANY($1)) AND ($2 = '' OR kind = $2) AND id > $3
         ORDER BY id LIMIT $4"
    ))
    .bind(projects)
    .bind(kind)
    .bind(after)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Source::from).collect())
}

/// Stores an edit of the locked row and counts its version. Another URL is another first import;
/// another schedule, or the end of a pause, is another beginning of it.
///
/// # Errors
/// Of the database; [`taken`] tells a name or URL that another source has.
pub async fn update(conn: &mut PgConnection, source: &Source) -> sqlx::Result<()> {
    let draft = &source.draft;
    sqlx::query(
        "UPDATE ingestion.source SET
             imported_at = CASE WHEN url = $3 THEN imported_at END,
             scheduled_at = CASE
                 WHEN schedule_expression = $5 AND schedule_zone = $6 AND paused = $7
                 THEN scheduled_at ELSE now() END,
             name = $2, url = $3, priority = $4, schedule_expression = $5, schedule_zone = $6,
             paused = $7, credential_kind = $8, credential = $9, first_import_items = $10,
             first_import_days = $11, full_text = $12, version = $13
         WHERE id = $1",
    )
    .bind(source.id)
    .bind(&draft.name)
    .bind(&draft.url)
    .bind(i16::from(draft.priority))
    .bind(&draft.schedule.expression)
    .bind(&draft.schedule.zone)
    .bind(draft.paused)
    .bind(&source.credential_kind)
    .bind(&source.credential)
    .bind(signed(draft.options.first_import_items))
    .bind(signed(draft.options.first_import_days))
    .bind(draft.options.full_text)
    .bind(source.version)
    .execute(conn)
    .await
    .map(drop)
}

/// Marks the source: from now on no run of it stores anything.
///
/// # Errors
/// Of the database.
pub async fn mark_deleting(conn: &mut PgConnection, id: SourceId) -> sqlx::Result<()> {
    sqlx::query("UPDATE ingestion.source SET deleting = true, version = version + 1 WHERE id = $1")
        .bind(id)
        .execute(conn)
        .await
        .map(drop)
}

/// Removes a marked source with its items, blobs and runs.
///
/// # Errors
/// Of the database.
pub async fn remove(conn: &mut PgConnection, id: SourceId) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM ingestion.source WHERE id = $1 AND deleting")
        .bind(id)
        .execute(conn)
        .await
        .map(drop)
}

/// Notes a good look.
///
/// # Errors
/// Of the database.
pub async fn succeeded(conn: &mut PgConnection, id: SourceId) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE ingestion.source SET last_run_at = now(), last_success_at = now(), last_error = '',
             consecutive_failures = 0, imported_at = coalesce(imported_at, now())
         WHERE id = $1",
    )
    .bind(id)
    .execute(conn)
    .await
    .map(drop)
}

/// Notes a failed look.
///
/// # Errors
/// Of the database.
pub async fn failed(conn: &mut PgConnection, id: SourceId, error: &str) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE ingestion.source SET last_run_at = now(), last_error = $2,
             consecutive_failures = consecutive_failures + 1
         WHERE id = $1",
    )
    .bind(id)
    .bind(error)
    .execute(conn)
    .await
    .map(drop)
}

/// What a violated unique index means to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Another source of the project has the name.
    Name,
    /// Another source of the project reads the URL.
    Url,
}

/// Tells whether a write failed because another source has the name or URL.
#[must_use]
pub fn taken(error: &sqlx::Error) -> Option<Taken> {
    match error.as_database_error()?.constraint()? {
        "source_name" => Some(Taken::Name),
        "source_url" => Some(Taken::Url),
        _ => None,
    }
}

/// The refusal that names the other source.
#[must_use]
pub fn refuse_taken(taken: Taken, draft: &Draft, other: Option<&Source>) -> Failure {
    let (field, value) = match taken {
        Taken::Name => ("name", draft.name.clone()),
        Taken::Url => {
            ("url", Url::parse(&draft.url).map_or_else(|_| String::new(), |it| place(&it)))
        }
    };
    let whose = other.map_or_else(
        || "another source".to_owned(),
        |other| format!("the source {:?} ({})", other.draft.name, other.id),
    );
    let message = format!(
        "{whose} of this project has the {field} {value} already: edit that one, or choose \
         another {field}"
    );
    let failure = Failure::new(Reason::AlreadyExists, message.clone()).violation(field, message);
    match other {
        Some(other) => failure.fact("source_id", other.id),
        None => failure,
    }
}

fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
