//! `hub.api_token`.

use chassis::caller::{Role, Scope};
use chrono::{DateTime, Utc};
use database::failure;
use proto::Failure;
use sqlx::{FromRow, PgExecutor, Row as _};
use uuid::Uuid;

use crate::db;

/// A row, without the token's hash.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Row {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) all_projects: bool,
    pub(crate) projects: Vec<Uuid>,
    pub(crate) created_by: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) last_used_at: Option<DateTime<Utc>>,
    pub(crate) revoked_at: Option<DateTime<Utc>>,
}

/// A token to add.
pub(crate) struct NewToken<'a> {
    pub(crate) hash: &'a [u8],
    pub(crate) name: &'a str,
    pub(crate) role: Role,
    pub(crate) scope: &'a Scope,
    pub(crate) created_by: &'a str,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

/// The tokens of people, newest first; those of services are not theirs to see.
pub(crate) async fn all(db: impl PgExecutor<'_>) -> Result<Vec<Row>, Failure> {
    sqlx::query_as(
        "SELECT id, name, role, all_projects, projects, created_by, created_at, expires_at,
                last_used_at, revoked_at
         FROM hub.api_token WHERE role <> 'service' ORDER BY id DESC",
    )
    .fetch_all(db)
    .await
    .map_err(failure)
}

/// Adds a token.
pub(crate) async fn insert(db: impl PgExecutor<'_>, token: NewToken<'_>) -> Result<Row, Failure> {
    let (all, projects) = db::scope_columns(token.scope);
    sqlx::query_as(
        "INSERT INTO hub.api_token
             (id, token_hash, name, role, all_projects, projects, created_by, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         RETURNING id, name, role, all_projects, projects, created_by, created_at, expires_at,
                   last_used_at, revoked_at",
    )
    .bind(Uuid::now_v7())
    .bind(token.hash)
    .bind(token.name)
    .bind(token.role.as_str())
    .bind(all)
    .bind(projects)
    .bind(token.created_by)
    .bind(token.expires_at)
    .fetch_one(db)
    .await
    .map_err(failure)
}

/// Revokes a person's token and returns it with its hash; none when there is no such token that
/// still works.
pub(crate) async fn revoke(
    db: impl PgExecutor<'_>,
    id: Uuid,
) -> Result<Option<(Row, Vec<u8>)>, Failure> {
    let row = sqlx::query(
        "UPDATE hub.api_token SET revoked_at = now()
         WHERE id = $1 AND role <> 'service' AND revoked_at IS NULL
         RETURNING id, name, role, all_projects, projects, created_by, created_at, expires_at,
                   last_used_at, revoked_at, token_hash",
    )
    .bind(id)
    .fetch_optional(db)
    .await
    .map_err(failure)?;
    row.map(|row| Ok((Row::from_row(&row)?, row.try_get("token_hash")?)))
        .transpose()
        .map_err(failure)
}

/// Whether the token with this hash works as an administrator's.
pub(crate) async fn is_live_admin(db: impl PgExecutor<'_>, hash: &[u8]) -> Result<bool, Failure> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM hub.api_token
             WHERE token_hash = $1 AND role = 'admin' AND revoked_at IS NULL
               AND (expires_at IS NULL OR expires_at > now()))",
    )
    .bind(hash)
    .fetch_one(db)
    .await
    .map_err(failure)
}

/// Makes `hash` the one token of a service.
pub(crate) async fn set_service(
    db: impl PgExecutor<'_>,
    name: &str,
    hash: &[u8],
) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO hub.api_token (id, token_hash, name, role, all_projects, created_by)
         VALUES ($1, $2, $3, 'service', true, 'configuration')
         ON CONFLICT (name) WHERE role = 'service'
         DO UPDATE SET token_hash = excluded.token_hash, revoked_at = NULL",
    )
    .bind(Uuid::now_v7())
    .bind(hash)
    .bind(format!("service:{name}"))
    .execute(db)
    .await
    .map_err(failure)?;
    Ok(())
}
