//! The connection pool.

use std::str::FromStr as _;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use chassis::config::Secret;
use serde::{Deserialize, Serialize};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::error::Error;

/// Between two attempts to reach a server that is not up, at most.
const CONNECT_DELAY_MAX: Duration = Duration::from_secs(1);

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
/// [`Error::Url`] at once; [`Error::Unreachable`] after `connect_wait_ms`.
pub async fn connect(config: &Config) -> Result<PgPool, Error> {
    let pool = PgPoolOptions::new()
        .max_connections(config.connections_max)
        .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms))
        .connect_lazy_with(options(config)?);
    let waited = Duration::from_millis(config.connect_wait_ms);
    let backoff = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(CONNECT_DELAY_MAX)
        .with_total_delay(Some(waited))
        .without_max_times()
        .with_jitter();
    (|| async { pool.acquire().await.map(drop) })
        .retry(backoff)
        .when(crate::is_transient)
        .notify(|error, delay| {
            tracing::warn!(error = %error, delay_ms = delay.as_millis(), "waiting for Postgres");
        })
        .await
        .map_err(|source| Error::Unreachable { waited, source })?;
    Ok(pool)
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
