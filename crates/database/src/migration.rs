//! Brings one service's schema up to date when the service starts.

use sqlx::{PgPool, migrate::Migrator};

use crate::error::Error;

/// Runs the migrations that the schema lacks, under an advisory lock, so that replicas which start
/// together wait for each other. The schema is created; what was run is in `SCHEMA._migrations`.
///
/// A database that knows migrations which this program does not is accepted: old code runs on the
/// new schema while replicas are replaced one by one.
///
/// # Errors
/// [`Error::Migrate`] when a migration fails or was edited after it ran.
pub async fn migrate(
    pool: &PgPool,
    schema: &'static str,
    migrations: &'static Migrator,
) -> Result<(), Error> {
    let mut migrator = Migrator::with_migrations(migrations.iter().cloned().collect());
    migrator.create_schema(schema);
    migrator.dangerous_set_table_name(format!("{schema}._migrations"));
    migrator.set_ignore_missing(true);
    migrator.run(pool).await.map_err(|source| Error::Migrate { schema, source })
}
