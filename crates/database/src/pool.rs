//! The connection pool.

use std::str::FromStr as _;
use std::time::Duration;

use chassis::config::Secret;
use serde::{Deserialize, Serialize};
use sqlx::{
    ConnectOptions as _, Connection as _, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::{Instant, sleep, timeout_at};

use crate::error::Error;

/// Between two attempts to reach a server that is not up.
const CONNECT_DELAY: Duration = Duration::from_millis(500);

/// A transaction that its owner forgot is ended by the server, so that it holds no locks.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(60);

/// Where the database is and how much of it we take.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `postgres://USER:PASSWORD@HOST/DATABASE`.
    pub url: Secret,
    /// Connections of this process, at most.
    pub connections_max: u32,
    /// How long a query waits for a connection, in milliseconds.
    pub acquire_timeout_ms: u64,
    /// How long one statement may run, in milliseconds.
    pub statement_timeout_ms: u64,
    /// How long a start waits for a server that is not up yet, in milliseconds.
    pub connect_wait_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            connections_max: 10,
            acquire_timeout_ms: 5_000,
            statement_timeout_ms: 60_000,
            connect_wait_ms: 60_000,
        }
    }
}

/// A pool whose database has answered once. A server that is not up yet is waited for.
///
/// # Errors
/// [`Error::Url`] and [`Error::Refused`] at once; [`Error::Unreachable`] after `connect_wait_ms`.
pub async fn connect(config: &Config) -> Result<PgPool, Error> {
    let options = options(config)?;
    let waited = Duration::from_millis(config.connect_wait_ms);
    let deadline = Instant::now() + waited;
    let mut last = sqlx::Error::PoolTimedOut;
    let answered = async {
        loop {
            // Not through the pool, which would hide why nobody can connect.
            let Err(error) = greet(&options).await else { return Ok(()) };
            if !crate::is_transient(&error) {
                return Err(error);
            }
            tracing::warn!(error = %error, "waiting for Postgres");
            last = error;
            sleep(CONNECT_DELAY).await;
        }
    };
    match timeout_at(deadline, answered).await {
        Ok(Ok(())) => {}
        Ok(Err(source)) => return Err(Error::Refused { source }),
        Err(_) => return Err(Error::Unreachable { waited, source: last }),
    }
    Ok(PgPoolOptions::new()
        .max_connections(config.connections_max)
        .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms))
        .connect_lazy_with(options))
}

async fn greet(options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    let connection = options.connect().await?;
    connection.close().await
}

/// A pool of one connection beside `pool`, for work that must not wait for the others: a lease's
/// heartbeat, a listener.
#[must_use]
pub fn dedicated(pool: &PgPool, acquire_timeout: Duration) -> PgPool {
    PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(acquire_timeout)
        .connect_lazy_with((*pool.connect_options()).clone())
}

fn options(config: &Config) -> Result<PgConnectOptions, Error> {
    if config.url.is_empty() {
        return Err(Error::Url("not set"));
    }
    let url = config.url.expose();
    // The driver takes any scheme.
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(Error::Url("no Postgres URL"));
    }
    let options = PgConnectOptions::from_str(url).map_err(|_| Error::Url("malformed"))?;
    Ok(options.options([
        ("statement_timeout", config.statement_timeout_ms.to_string()),
        ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION.as_millis().to_string()),
        ("timezone", "UTC".to_owned()),
    ]))
}
