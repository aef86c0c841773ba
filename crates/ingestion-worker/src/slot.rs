//! A place at a remote host, waited for and given back.

use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, Utc};
use jobs::{Error, Run};
use proto::{Failure, Reason};
use sqlx::PgPool;
use url::Url;

use crate::db;
use crate::error::REFUSED_BY;
use crate::politeness::{Limits, Turn};

/// A host is believed when it asks us to stay away, up to this long.
pub const HOLD_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Whoever finds a host busy comes back after this share of the longest wait, by chance.
const SPREAD: std::ops::Range<f64> = 0.2..1.0;

/// Even a worker that may not wait at all leaves a busy host alone for so long.
const WAIT_MIN: Duration = Duration::from_millis(50);

/// A place at a host; no other worker has it until it is given back or its lease ends.
#[derive(Debug)]
pub struct Slot {
    host: String,
    busy_until: DateTime<Utc>,
}

/// What came of asking for a place.
#[derive(Debug)]
pub enum Asked {
    /// Send the request now.
    Yours(Slot),
    /// Come back after this time: others of ours are at the host.
    Later(Duration),
    /// Come back after this time: the host asked for it.
    Held(Duration),
}

/// Asks for a place at the URL's host and waits for its turn, at most `limits.wait_max`.
///
/// # Errors
/// Of the database.
pub async fn ask(pool: &PgPool, url: &Url, limits: Limits) -> sqlx::Result<Asked> {
    let host = host(url);
    let (turn, now) = db::host::take(pool, &host, limits).await?;
    let until = |at: DateTime<Utc>| (at - now).to_std().unwrap_or_default();
    match turn {
        Turn::Take { start, busy_until, .. } => {
            tokio::time::sleep(until(start)).await;
            Ok(Asked::Yours(Slot { host, busy_until }))
        }
        Turn::Held(at) => Ok(Asked::Held(until(at))),
        Turn::Later(at) => Ok(Asked::Later(until(at))),
        Turn::Busy => Ok(Asked::Later(spread(limits.wait_max.to_std().unwrap_or_default()))),
    }
}

/// Many that are told to come back must not all come back at once.
fn spread(wait_max: Duration) -> Duration {
    wait_max.mul_f64(rand::random_range(SPREAD)).max(WAIT_MIN)
}

impl Slot {
    /// Does `work` at the host and gives the place back however that ends: done, failed, told to
    /// stop, or after `limit`.
    ///
    /// # Errors
    /// Those of the work; `TIMEOUT` after the limit.
    pub async fn during<T>(
        self,
        pool: &PgPool,
        run: &Run,
        limit: Duration,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let late = || {
            let message = format!("{} was not done within {limit:?}", self.host);
            Err(Error::transient(Reason::Timeout, message))
        };
        let ended = tokio::select! {
            biased;
            () = run.cancelled() => Err(Error::LeaseLost),
            ended = tokio::time::timeout(limit, work) => ended.unwrap_or_else(|_| late()),
        };
        let refusal = match &ended {
            Err(Error::RateLimited { failure, .. }) => Some(failure),
            _ => None,
        };
        self.release(pool, refusal).await;
        ended
    }

    /// Gives the place back, and obeys whoever refused the request meanwhile: this host, or one
    /// that it redirects to.
    pub async fn release(self, pool: &PgPool, refusal: Option<&Failure>) {
        let refusal = refusal.filter(|it| it.reason == Reason::RateLimited);
        if let Some((failure, hold)) = refusal.and_then(|it| Some((it, it.retry_after?))) {
            let refuser = failure.metadata.get(REFUSED_BY).and_then(|it| Url::parse(it).ok());
            let refuser = refuser.map_or_else(|| self.host.clone(), |url| host(&url));
            let seconds = hold.min(HOLD_MAX).as_secs_f64();
            if let Err(error) = db::host::hold(pool, &refuser, seconds).await {
                tracing::warn!(host = refuser, %error, "the wish of a host was not stored");
            }
        }
        // Lost or not, the place falls free when its lease ends.
        if let Err(error) = db::host::release(pool, &self.host, self.busy_until).await {
            tracing::warn!(host = self.host, %error, "a place at a host was not given back");
        }
    }
}

/// The refusal for a person who cannot be asked to come back by a queue.
#[must_use]
pub fn busy(url: &Url, wait: Duration) -> Failure {
    let (host, seconds) = (host(url), wait.as_secs().max(1));
    Failure::new(
        Reason::RateLimited,
        format!(
            "{host} is asked as often as we may, or asked us to wait: try again in {seconds} s"
        ),
    )
    .retry_after(wait)
}

/// `host:port`, as hosts are told apart.
fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    format!("{name}:{}", url.port_or_known_default().unwrap_or_default())
}
