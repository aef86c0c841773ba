//! `hub.app_user`.

use chassis::caller::{Role, Scope};
use chrono::{DateTime, Utc};
use database::failure;
use proto::{Failure, UserId};
use sqlx::{FromRow, PgExecutor};
use uuid::Uuid;

use crate::db;

/// A row, without the password's hash.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Row {
    pub(crate) id: UserId,
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) all_projects: bool,
    pub(crate) projects: Vec<Uuid>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) last_sign_in_at: Option<DateTime<Utc>>,
}

/// What signing in needs.
#[derive(Debug, FromRow)]
pub(crate) struct Credentials {
    pub(crate) id: UserId,
    pub(crate) name: String,
    pub(crate) password_hash: String,
}

/// A user to add.
pub(crate) struct NewUser<'a> {
    pub(crate) name: &'a str,
    pub(crate) password_hash: &'a str,
    pub(crate) role: Role,
    pub(crate) scope: &'a Scope,
}

/// What an edit changes; what is none stays.
#[derive(Default)]
pub(crate) struct Change<'a> {
    pub(crate) password_hash: Option<&'a str>,
    pub(crate) role: Option<Role>,
    pub(crate) scope: Option<&'a Scope>,
}

/// Every user, by name.
pub(crate) async fn all(db: impl PgExecutor<'_>) -> Result<Vec<Row>, Failure> {
    sqlx::query_as(
        "SELECT id, name, role, all_projects, projects, created_at, last_sign_in_at
         FROM hub.app_user ORDER BY lower(name)",
    )
    .fetch_all(db)
    .await
    .map_err(failure)
}

/// One user.
pub(crate) async fn find(db: impl PgExecutor<'_>, id: UserId) -> Result<Option<Row>, Failure> {
    sqlx::query_as(
        "SELECT id, name, role, all_projects, projects, created_at, last_sign_in_at
         FROM hub.app_user WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(db)
    .await
    .map_err(failure)
}

/// The credentials of the user with this name, in any case.
pub(crate) async fn credentials(
    db: impl PgExecutor<'_>,
    name: &str,
) -> Result<Option<Credentials>, Failure> {
    sqlx::query_as("SELECT id, name, password_hash FROM hub.app_user WHERE lower(name) = lower($1)")
        .bind(name)
        .fetch_optional(db)
        .await
        .map_err(failure)
}

/// Adds a user; none when the name is taken.
pub(crate) async fn insert(
    db: impl PgExecutor<'_>,
    user: NewUser<'_>,
) -> Result<Option<Row>, Failure> {
    let (all, projects) = db::scope_columns(user.scope);
    sqlx::query_as(
        "INSERT INTO hub.app_user (id, name, password_hash, role, all_projects, projects)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (lower(name)) DO NOTHING
         RETURNING id, name, role, all_projects, projects, created_at, last_sign_in_at",
    )
    .bind(UserId::generate())
    .bind(user.name)
    .bind(user.password_hash)
    .bind(user.role.as_str())
    .bind(all)
    .bind(projects)
    .fetch_optional(db)
    .await
    .map_err(failure)
}

/// Changes a user and ends the sessions that the change makes stale.
pub(crate) async fn update(
    tx: &mut sqlx::PgConnection,
    id: UserId,
    change: Change<'_>,
) -> Result<Option<Row>, Failure> {
    let scope = change.scope.map(db::scope_columns);
    if change.password_hash.is_some() {
        sqlx::query("DELETE FROM hub.session WHERE user_id = $1")
            .bind(id)
            .execute(&mut *tx)
            .await
            .map_err(failure)?;
    }
    sqlx::query_as(
        "UPDATE hub.app_user SET password_hash = coalesce($2, password_hash),
             role = coalesce($3, role), all_projects = coalesce($4, all_projects),
             projects = coalesce($5, projects)
         WHERE id = $1
         RETURNING id, name, role, all_projects, projects, created_at, last_sign_in_at",
    )
    .bind(id)
    .bind(change.password_hash)
    .bind(change.role.map(|role| role.as_str()))
    .bind(scope.as_ref().map(|(all, _)| *all))
    .bind(scope.map(|(_, projects)| projects))
    .fetch_optional(tx)
    .await
    .map_err(failure)
}

/// How many administrators of all projects there are besides `id`, with their rows locked so that
/// two edits cannot remove the last two.
pub(crate) async fn other_admins(
    tx: &mut sqlx::PgConnection,
    id: UserId,
) -> Result<usize, Failure> {
    let admins: Vec<Uuid> = sqlx::query_scalar(
        "SELECT id FROM hub.app_user WHERE role = 'admin' AND all_projects
         ORDER BY id FOR UPDATE",
    )
    .fetch_all(tx)
    .await
    .map_err(failure)?;
    Ok(admins.into_iter().filter(|admin| *admin != id.0).count())
}

/// Removes a user with their sessions.
pub(crate) async fn remove(db: impl PgExecutor<'_>, id: UserId) -> Result<(), Failure> {
    sqlx::query("DELETE FROM hub.app_user WHERE id = $1")
        .bind(id)
        .execute(db)
        .await
        .map_err(failure)?;
    Ok(())
}

/// Notes a sign-in.
pub(crate) async fn signed_in(db: impl PgExecutor<'_>, id: UserId) -> Result<(), Failure> {
    sqlx::query("UPDATE hub.app_user SET last_sign_in_at = now() WHERE id = $1")
        .bind(id)
        .execute(db)
        .await
        .map_err(failure)?;
    Ok(())
}
