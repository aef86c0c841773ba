//! What goes wrong with a database, and what a caller is told about it.

use std::time::Duration;

use proto::{Failure, Reason};
use sqlx::migrate::MigrateError;

/// When a caller may come back after the database was away.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Why there is no usable database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is missing or malformed. The cause is left out: it would repeat the password.
    #[error(
        "database.url is {0}: set DATABASE_URL or database.url_file to \
         postgres://USER:PASSWORD@HOST/DATABASE"
    )]
    Url(&'static str),
    /// Nobody answered in time.
    #[error(
        "Postgres did not accept a connection within {} s: check that it runs, that \
         database.url is right and that the role may log in", .waited.as_secs()
    )]
    Unreachable {
        /// How long we tried.
        waited: Duration,
        /// The last attempt's error.
        #[source]
        source: sqlx::Error,
    },
    /// The server answered, and does not let us in.
    #[error(
        "Postgres refused the connection: check the role, the password and the database in \
         database.url"
    )]
    Refused {
        /// What it said.
        #[source]
        source: sqlx::Error,
    },
    /// The schema cannot be brought up to date.
    #[error("the schema {schema} cannot be migrated; nothing runs on it until this is mended")]
    Migrate {
        /// The service's schema.
        schema: &'static str,
        /// What Postgres said.
        #[source]
        source: MigrateError,
    },
}

/// Whether the same statement may succeed later without anyone changing anything: the server is
/// away, starting, stopping or out of connections, or the transaction lost a race.
#[must_use]
pub fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| is_transient_state(&code)),
        _ => false,
    }
}

/// Whether Postgres ended the statement as it took longer than it may.
#[must_use]
pub fn is_statement_timeout(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    error.is_some_and(|error| error.code().is_some_and(|code| code == QUERY_CANCELED))
}

/// A statement took too long: it may well take as long again.
const QUERY_CANCELED: &str = "57014";

/// Classes of <https://www.postgresql.org/docs/18/errcodes-appendix.html>.
fn is_transient_state(code: &str) -> bool {
    const CONNECTION: &str = "08";
    const ROLLBACK: &str = "40";
    const RESOURCES: &str = "53";
    const INTERVENTION: &str = "57";
    const SYSTEM: &str = "58";
    const LOCK_NOT_AVAILABLE: &str = "55P03";
    const IDLE_IN_TRANSACTION_TIMEOUT: &str = "25P03";
    let classes = [CONNECTION, ROLLBACK, RESOURCES, INTERVENTION, SYSTEM];
    code != QUERY_CANCELED && classes.iter().any(|class| code.starts_with(class))
        || [LOCK_NOT_AVAILABLE, IDLE_IN_TRANSACTION_TIMEOUT].contains(&code)
}

/// What a caller is told: `UNAVAILABLE` when it passes by itself, `TIMEOUT` when the statement took
/// longer than it may, else `INTERNAL`. The error
/// itself goes to the log, as it may quote data.
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "fits `map_err`")]
pub fn failure(error: sqlx::Error) -> Failure {
    if is_transient(&error) {
        tracing::warn!(error = %error, "the database is not available");
        return Failure::new(
            Reason::Unavailable,
            "the database is not available; try again in a moment",
        )
        .retry_after(RETRY_AFTER);
    }
    if is_statement_timeout(&error) {
        tracing::error!(error = %error, "a statement took too long");
        return Failure::new(
            Reason::Timeout,
            "the database took too long; ask for less, or raise database.statement_timeout_ms",
        );
    }
    tracing::error!(error = %error, "the database refused a statement");
    Failure::new(
        Reason::Internal,
        "the database refused a statement; the log has the cause under the trace id",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_server_is_transient_and_a_wrong_statement_is_not() {
        let check = |code, expect| assert_eq!(is_transient_state(code), expect, "{code}");
        check("57P01", true); // admin_shutdown
        check("57014", false); // query_canceled
        check("57P03", true); // cannot_connect_now
        check("53300", true); // too_many_connections
        check("40P01", true); // deadlock_detected
        check("08006", true); // connection_failure
        check("23505", false); // unique_violation
        check("42P01", false); // undefined_table
        check("22P05", false); // untranslatable_character
    }

    #[test]
    fn a_caller_learns_when_to_come_back_but_not_what_was_asked() {
        let told = failure(sqlx::Error::PoolTimedOut);
        assert_eq!(told.reason, Reason::Unavailable);
        assert!(told.retry_after.is_some());
        let told = failure(sqlx::Error::ColumnNotFound("password".into()));
        assert_eq!(told.reason, Reason::Internal);
        assert!(!told.message.contains("password"));
    }
}
