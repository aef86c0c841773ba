//! The Docker Engine, and the only place that names its client library.
//!
//! One method is one call of the Engine's API with a timeout of its own. What comes back is in our
//! words ([`observed`](crate::observed)), so that everything that decides can be tested without an
//! Engine.

mod container;
mod create;
mod engine;
mod error;
mod event;
mod exec;
mod image;
mod logs;
mod network;
mod owned;
mod publisher;
mod stats;
mod toolbox;
mod volume;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use tokio::sync::{OnceCell, Semaphore};

use crate::breaker::{Breaker, Permit};
use crate::metrics;

pub use create::NewContainer;
pub use engine::Engine;
pub use error::Error;
pub use event::Event;
pub use exec::Executed;
pub use logs::{LogStream, Part};
pub use network::NewNetwork;
pub use publisher::{Published, Publisher};
pub use volume::Found;

/// Calls in flight, at most; streams do not count.
const CALLS_MAX: usize = 16;

/// Containers that are being stopped at once, beside the calls: each may take its whole grace
/// period, and nobody else shall wait for it.
const STOPS_MAX: usize = 256;

/// For a call that reads or changes one object.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// For the one who waits for the Engine to come back.
const KNOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// For a call that makes a container: the Engine prepares its file system.
pub(crate) const CREATE_TIMEOUT: Duration = Duration::from_secs(30);

/// Beyond the grace period of a container that is stopped.
pub(crate) const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Pings that are enough to know that the Engine is back.
const TRIALS_MAX: usize = 3;

/// The library's own limit: above every one of ours, so that ours decide.
const LIBRARY_TIMEOUT_S: u64 = 3_600;

/// The oldest API that has what hardening needs: Engine 20.10.
const API_MIN: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };

/// A Docker Engine; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    socket: PathBuf,
    docker: OnceCell<Docker>,
    calls: Semaphore,
    stops: Semaphore,
    breaker: Mutex<Breaker>,
    /// What was last wrong with the Engine.
    last: Mutex<String>,
}

impl Client {
    /// The Engine that listens on a Unix socket. Nothing is sent before the first call, so that an
    /// Engine may come later.
    #[must_use]
    pub fn new(socket: PathBuf) -> Self {
        let docker = OnceCell::new();
        let (calls, stops) = (Semaphore::new(CALLS_MAX), Semaphore::new(STOPS_MAX));
        let (breaker, last) = (Mutex::new(Breaker::default()), Mutex::default());
        Self { inner: Arc::new(Inner { socket, docker, calls, stops, breaker, last }) }
    }

    /// Something that names this Engine over restarts of ours.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn identity(&self) -> Result<String, Error> {
        let info = self.call("info", CALL_TIMEOUT, async |it| it.info().await).await?;
        info.id.filter(|it| !it.is_empty()).ok_or_else(|| Error::malformed("info", "it has no id"))
    }

    /// Asks the Engine whether it is back, if it was away; one at a time is let through, so
    /// whoever is about to make many calls asks first.
    ///
    /// # Errors
    /// While it is away.
    pub async fn reach(&self) -> Result<(), Error> {
        for _ in 0..TRIALS_MAX {
            if self.breaker().is_closed() {
                break;
            }
            self.call("ping", CALL_TIMEOUT, async |it| it.ping().await).await?;
        }
        Ok(())
    }

    /// Asks the Engine whether it is there, whatever the breaker says, and lets others try when it
    /// is. For the one who waits for it to come back, and asks seldom.
    ///
    /// # Errors
    /// While it is away.
    pub async fn knock(&self) -> Result<(), Error> {
        let asked = async {
            let docker = self.docker().await?;
            let told = |error| Error::from_library("ping", &self.inner.socket, error);
            docker.ping().await.map_err(told)
        };
        let answer = tokio::time::timeout(KNOCK_TIMEOUT, asked).await;
        answer.map_err(|_| Error::Timeout { what: "ping", after: KNOCK_TIMEOUT })??;
        self.breaker().found();
        Ok(())
    }

    /// One call: waits for a place, connects if nobody has, bounds the time, and says what went
    /// wrong in our words.
    pub(crate) async fn call<T>(
        &self,
        what: &'static str,
        timeout: Duration,
        ask: impl AsyncFnOnce(Docker) -> Result<T, bollard::errors::Error>,
    ) -> Result<T, Error> {
        self.call_among(&self.inner.calls, what, timeout, ask).await
    }

    /// A call that takes long, beside the others.
    pub(crate) async fn call_slow<T>(
        &self,
        what: &'static str,
        timeout: Duration,
        ask: impl AsyncFnOnce(Docker) -> Result<T, bollard::errors::Error>,
    ) -> Result<T, Error> {
        self.call_among(&self.inner.stops, what, timeout, ask).await
    }

    async fn call_among<T>(
        &self,
        places: &Semaphore,
        what: &'static str,
        timeout: Duration,
        ask: impl AsyncFnOnce(Docker) -> Result<T, bollard::errors::Error>,
    ) -> Result<T, Error> {
        let late = || Error::Timeout { what, after: timeout };
        let asked = async {
            let docker = self.docker().await?;
            ask(docker).await.map_err(|error| Error::from_library(what, &self.inner.socket, error))
        };
        // No place in time says nothing about the Engine: the breaker is not told of it.
        let place = tokio::time::timeout(timeout, places.acquire()).await;
        let _place = place.map_err(|_| late())?;
        let permit = self.admit(what)?;
        let begin = Instant::now();
        let answer = match tokio::time::timeout(timeout, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(late()),
        };
        let outcome = answer.as_ref().map_or_else(Error::kind, |_| "ok");
        metrics::docker(what, outcome, begin.elapsed());
        let transport = answer.as_ref().err().filter(|it| it.is_transport());
        self.breaker().record(Instant::now(), permit, transport.is_none());
        if let Some(error) = transport {
            *self.last() = error.to_string();
        }
        answer
    }

    /// Whether calls pass as usual.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        self.breaker().is_closed()
    }

    fn admit(&self, what: &'static str) -> Result<Permit, Error> {
        self.breaker().admit(Instant::now()).map_err(|refused| {
            let why = self.last().clone();
            let error = Error::Open { what, retry_after: refused.retry_after, why };
            metrics::docker(what, error.kind(), Duration::ZERO);
            error
        })
    }

    fn last(&self) -> MutexGuard<'_, String> {
        // One value, written at once.
        self.inner.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        // The breaker holds no invariant that a panic of its holder could break.
        self.inner.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The library's client, after the Engine has said which API it speaks.
    pub(crate) async fn docker(&self) -> Result<Docker, Error> {
        let connect = async || {
            let path = self.inner.socket.to_string_lossy();
            let told = |error| Error::from_library("version", &self.inner.socket, error);
            let docker = Docker::connect_with_unix(&path, LIBRARY_TIMEOUT_S, API_DEFAULT_VERSION)
                .map_err(told)?;
            // Whoever connects holds up all others, who would hear of it only when it ends.
            let negotiated = tokio::time::timeout(CALL_TIMEOUT, docker.negotiate_version()).await;
            let late = |_| Error::Timeout { what: "version", after: CALL_TIMEOUT };
            let docker = negotiated.map_err(late)?.map_err(told)?;
            let version = docker.client_version();
            if version < API_MIN {
                return Err(Error::TooOld { api: version.to_string() });
            }
            Ok(docker)
        };
        self.inner.docker.get_or_try_init(connect).await.cloned()
    }
}
