//! One process: listeners, supervised services, signals, drain.

mod alone;
mod config;
mod server;
mod signals;
mod stage;

pub use alone::{Surroundings, run_alone};
pub use config::{Config, Listener};
pub use signals::{SecondSignal, Signals, exit_code};

use std::{future::Future, net::SocketAddr, panic::AssertUnwindSafe, pin::Pin, time::Duration};

use anyhow::Context as _;
use futures::FutureExt as _;
use stage::Stage;
use tokio::time::Instant;
use tonic::service::RoutesBuilder;

use crate::{
    Shutdown, Tasks, admin,
    auth::Authenticator,
    readiness::{Readiness, State},
};

/// How long in-flight work may take to finish once the process was told to stop.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(25);

/// How much of [`DRAIN_TIMEOUT`] the services may take before the servers stop as well.
const SERVICES_TIMEOUT: Duration = Duration::from_secs(20);

/// A failed service is started again after 1, 2, 4 … seconds, at most this.
const RESTART_DELAY_MAX: Duration = Duration::from_secs(30);

/// A service that ran this long is forgiven its earlier failures.
const STABLE_AFTER: Duration = Duration::from_secs(60);

/// A service's work, which can be started again: it migrates, says that it is ready, and returns
/// when the token is cancelled.
pub type Run =
    Box<dyn Fn(Shutdown) -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>> + Send + Sync>;

/// Adds a service's gRPC services to the server.
pub type AddRoutes = Box<dyn FnOnce(&mut RoutesBuilder) + Send>;

/// What a service hands over to be run.
pub struct Service {
    /// Its name in logs, metrics and `/readyz`.
    pub name: &'static str,
    /// The gRPC services that it answers for, by full name, for `grpc.health.v1`.
    pub grpc_names: Vec<&'static str>,
    /// Adds its gRPC services to the server.
    pub grpc: Option<AddRoutes>,
    /// What it serves over HTTP.
    pub http: Option<axum::Router>,
    /// Its work.
    pub run: Run,
}

impl Service {
    /// A service that only works, without a server.
    pub fn new<F, Fut>(name: &'static str, run: F) -> Self
    where
        F: Fn(Shutdown) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        Self {
            name,
            grpc_names: Vec::new(),
            grpc: None,
            http: None,
            run: Box::new(move |shutdown| Box::pin(run(shutdown))),
        }
    }

    /// Adds the gRPC services, named in full.
    #[must_use]
    pub fn grpc(
        mut self,
        names: &[&'static str],
        add: impl FnOnce(&mut RoutesBuilder) + Send + 'static,
    ) -> Self {
        self.grpc_names = names.to_vec();
        self.grpc = Some(Box::new(add));
        self
    }

    /// Adds what it serves over HTTP.
    #[must_use]
    pub fn http(mut self, routes: axum::Router) -> Self {
        self.http = Some(routes);
        self
    }
}

/// The addresses that a process listens on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Addresses {
    /// HTTP, when a service serves it.
    pub http: Option<SocketAddr>,
    /// gRPC, when a service serves it.
    pub grpc: Option<SocketAddr>,
    /// `/livez`, `/readyz`, `/metrics`.
    pub admin: Option<SocketAddr>,
}

/// Bound listeners, waiting for services.
pub struct Process {
    listeners: server::Listeners,
    readiness: Readiness,
    metrics: telemetry::Metrics,
}

impl Process {
    /// Binds every listener, so that an address in use is told before anything starts.
    ///
    /// # Errors
    /// When an address is in use or may not be bound.
    pub async fn bind(
        config: &Config,
        readiness: Readiness,
        metrics: telemetry::Metrics,
    ) -> anyhow::Result<Self> {
        let listeners = server::Listeners::bind(config).await?;
        Ok(Self { listeners, readiness, metrics })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.listeners.addresses()
    }

    /// Runs the services until `shutdown` is cancelled, then drains: every service says that it is
    /// stopping, the services stop their intake and finish, then the HTTP and gRPC servers finish
    /// what is in flight, and last those that tell how it goes.
    ///
    /// # Errors
    /// When a server breaks, or the drain takes longer than [`DRAIN_TIMEOUT`].
    pub async fn serve(
        self,
        services: Vec<Service>,
        authenticator: Authenticator,
        shutdown: Shutdown,
    ) -> anyhow::Result<()> {
        let readiness = self.readiness.clone();
        let mut tasks = Tasks::new(&shutdown);
        let stopping = tasks.shutdown();
        let stages: [Stage; 3] = Default::default();
        let [workers, servers, last] = &stages;
        let mut routes = RoutesBuilder::default();
        let mut http = axum::Router::new();
        let mut grpc_names = Vec::new();
        for service in services {
            let name = service.name;
            readiness.set(name, State::Starting);
            if let Some(add) = service.grpc {
                add(&mut routes);
                grpc_names.extend(service.grpc_names.iter().map(|grpc_name| (*grpc_name, name)));
            }
            if let Some(service_routes) = service.http {
                http = http.merge(service_routes);
            }
            let run = supervise(name, service.run, readiness.clone(), workers.shutdown());
            workers.spawn(&mut tasks, name, run);
        }
        let admin = admin::routes(readiness.clone(), self.metrics.clone());
        let parts = server::Servers { http, admin, grpc: routes, grpc_names, authenticator };
        self.listeners.spawn_servers(&mut tasks, parts, &readiness, [servers, last])?;
        last.spawn(&mut tasks, "metrics", keep_up(self.metrics, last.shutdown()));
        tasks.spawn("drain", drain(stopping.clone(), readiness, stages));
        let joined = tasks.join();
        tokio::pin!(joined);
        tokio::select! {
            ended = &mut joined => return ended,
            () = stopping.cancelled() => {}
        }
        tokio::time::timeout(DRAIN_TIMEOUT, joined)
            .await
            .with_context(|| format!("work was still running {DRAIN_TIMEOUT:?} after the stop"))?
    }
}

/// Waits for the stop, then ends one stage after the other.
async fn drain(
    stopping: Shutdown,
    readiness: Readiness,
    [workers, servers, last]: [Stage; 3],
) -> anyhow::Result<()> {
    stopping.cancelled().await;
    tracing::info!("draining: no new work is taken");
    readiness.stop();
    if tokio::time::timeout(SERVICES_TIMEOUT, workers.end()).await.is_err() {
        tracing::warn!("services are still busy; the servers stop as well");
    }
    servers.end().await;
    last.end().await;
    Ok(())
}

async fn keep_up(metrics: telemetry::Metrics, stop: Shutdown) -> anyhow::Result<()> {
    stop.run_until_cancelled(metrics.keep_up()).await;
    Ok(())
}

/// Runs a service, and again after a pause whenever it fails; the others do not notice.
async fn supervise(
    name: &'static str,
    run: Run,
    readiness: Readiness,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let mut delay = Duration::from_secs(1);
    loop {
        let started = Instant::now();
        let ended = AssertUnwindSafe(run(shutdown.clone())).catch_unwind().await;
        if shutdown.is_cancelled() {
            if let Ok(Err(error)) = ended {
                tracing::warn!(
                    service = name,
                    error = format!("{error:#}"),
                    "stopped with a failure"
                );
            }
            return Ok(());
        }
        let reason = match ended {
            Ok(Ok(())) => "it returned although nobody stopped it".to_owned(),
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => "it panicked; the log has the message".to_owned(),
        };
        if started.elapsed() > STABLE_AFTER {
            delay = Duration::from_secs(1);
        }
        tracing::error!(service = name, reason, delay_s = delay.as_secs(), "service failed");
        metrics::counter!("service_restarts_total", "service" => name).increment(1);
        readiness.set(name, State::Failed(reason));
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        readiness.set(name, State::Starting);
        delay = (delay * 2).min(RESTART_DELAY_MAX);
    }
}
