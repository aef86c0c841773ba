//! What the ways in and the stages share.

use std::sync::Arc;
use std::time::Duration;

use chassis::seal::Keyring;
use proto::{Failure, Reason};
use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::clients::Knowledge;
use crate::config::Config;
use crate::politeness::Limits;
use crate::source::Source;
use crate::{credential, db, fetch, metrics};

/// How old the known size of what waits may be: it overshoots its limit by what comes in this time.
const WAITING_BYTES_AGE_MAX: Duration = Duration::from_secs(5);

/// When to come back while too much waits between the stages.
const WAITING_RETRY_AFTER: Duration = Duration::from_secs(30);

/// The parts of a running service.
pub struct App {
    /// How sources are collected.
    pub config: Config,
    /// Our tables.
    pub pool: PgPool,
    /// Opens credentials.
    pub keyring: Keyring,
    /// Where documents go.
    pub knowledge: Knowledge,
    /// Reaches what users' URLs name.
    pub fetch: fetch::Client,
    /// What it may reach.
    pub limits: fetch::Config,
    /// What waited between the stages when we last looked, and when that was.
    waiting: Mutex<Option<(Instant, i64)>>,
}

impl App {
    /// The parts together.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(
        config: Config,
        pool: PgPool,
        keyring: Keyring,
        knowledge: Knowledge,
        limits: fetch::Config,
    ) -> Result<Arc<Self>, fetch::Error> {
        let fetch = fetch::Client::new(limits.clone())?;
        let waiting = Mutex::new(None);
        Ok(Arc::new(Self { config, pool, keyring, knowledge, fetch, limits, waiting }))
    }

    /// How we behave towards each host.
    #[must_use]
    pub fn host_limits(&self) -> Limits {
        self.config.host_limits(Duration::from_millis(self.limits.total_timeout_ms))
    }

    /// The credential of a source, opened.
    ///
    /// # Errors
    /// `CONFLICT` when it does not open.
    pub fn credential(&self, source: &Source) -> Result<Option<fetch::Credential>, Failure> {
        source
            .credential
            .as_deref()
            .map(|sealed| credential::open(&self.keyring, source.id, sealed))
            .transpose()
    }

    /// Refuses more content while too much waits between the stages.
    ///
    /// # Errors
    /// `BACKLOG` that names the limit, with `retry_after`.
    pub async fn admit(&self) -> Result<(), Failure> {
        let mut waiting = self.waiting.lock().await;
        let bytes = match *waiting {
            Some((at, bytes)) if at.elapsed() < WAITING_BYTES_AGE_MAX => bytes,
            _ => {
                let bytes = db::blob::total_bytes(&self.pool).await.map_err(database::failure)?;
                metrics::waiting_bytes(bytes);
                *waiting = Some((Instant::now(), bytes));
                bytes
            }
        };
        if u64::try_from(bytes).unwrap_or(0) < self.config.waiting_bytes_max {
            return Ok(());
        }
        let limit = self.config.waiting_bytes_max;
        Err(Failure::new(
            Reason::Backlog,
            format!(
                "{bytes} bytes of content wait to be processed; the limit is {limit} \
                 (ingestion.waiting_bytes_max): try again later"
            ),
        )
        .retry_after(WAITING_RETRY_AFTER))
    }
}
