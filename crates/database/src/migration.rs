//! Brings one service's schema up to date when the service starts.

use std::time::Duration;

use sqlx::{ConnectOptions as _, Connection as _, PgPool, migrate::Migrator};

use crate::error::Error;

/// How long one statement may wait for a lock: for another replica that migrates, and for a table.
const LOCK_TIMEOUT: Duration = Duration::from_secs(120);

/// Runs the migrations that the schema lacks, under an advisory lock, so that replicas which start
/// together wait for each other. The schema is created; what was run is in `SCHEMA._migrations`.
///
/// A database that knows migrations which this program does not is accepted: old code runs on the
/// new schema while replicas are replaced one by one.
///
/// A migration takes as long as it takes, on a connection of its own. That is closed afterwards
/// whatever happened, because it would keep the lock after a failure.
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
    let options = (*pool.connect_options()).clone().options([
        ("statement_timeout", "0".to_owned()),
        ("lock_timeout", LOCK_TIMEOUT.as_millis().to_string()),
    ]);
    let failed = |source| Error::Migrate { schema, source };
    let mut connection = options.connect().await.map_err(|error| failed(error.into()))?;
    let migrated = migrator.run_direct(None, &mut connection, false).await;
    // The server frees the lock also when we cannot say goodbye.
    let _ = connection.close().await;
    migrated.map_err(failed)
}
