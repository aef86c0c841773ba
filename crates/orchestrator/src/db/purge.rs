//! Everything that the tables have of one project.

use proto::ProjectId;
use sqlx::{AssertSqlSafe, PgPool};

/// Tables with rows of projects, in the order in which they can go. What belongs to these rows in
/// other tables goes with them.
const TABLES: [&str; 4] = ["failure", "operation", "secret", "stack"];

/// Removes every row of a project.
///
/// # Errors
/// Of the database; then nothing was removed.
pub async fn project(pool: &PgPool, project: ProjectId) -> sqlx::Result<()> {
    let mut tx = pool.begin().await?;
    for table in TABLES {
        // Old code runs on the new schema, and new code on one that is being made.
        let there: bool =
            sqlx::query_scalar("SELECT to_regclass('orchestrator.' || $1) IS NOT NULL")
                .bind(table)
                .fetch_one(&mut *tx)
                .await?;
        if there {
            let query = format!("DELETE FROM orchestrator.{table} WHERE project_id = $1");
            sqlx::query(AssertSqlSafe(query)).bind(project).execute(&mut *tx).await?;
        }
    }
    tx.commit().await
}
