//! Table `installation`.

use sqlx::PgPool;
use uuid::Uuid;

/// The id that labels what we own.
///
/// # Errors
/// Of the database.
pub async fn id(pool: &PgPool) -> sqlx::Result<Uuid> {
    sqlx::query_scalar("SELECT id FROM orchestrator.installation").fetch_one(pool).await
}
