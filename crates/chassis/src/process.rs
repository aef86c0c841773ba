//! One process: listeners, supervised services, signals, drain.

mod alone;
mod config;
mod server;

pub use alone::{Surroundings, run_alone};
pub use config::{Config, Listener};

use std::{future::Future, net::SocketAddr, panic::AssertUnwindSafe, pin::Pin, time::Duration};

use anyhow::Context as _;
use futures::FutureExt as _;
use tokio::{signal::unix::SignalKind, time::Instant};
use tonic::service::RoutesBuilder;

use crate::{
    Shutdown, Tasks, admin,
    auth::Authenticator,
    readiness::{Readiness, State},
};

/// How long in-flight work may take to finish once the process was told to stop.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(25);

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

    /// Runs the services until `shutdown` is cancelled, then drains: unready first, then the
    /// servers finish what is in flight while the services stop their intake and finish.
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
        for service in &services {
            readiness.set(service.name, State::Starting);
        }
        let mut tasks = Tasks::new(&shutdown);
        let stopping = tasks.shutdown();
        let mut routes = RoutesBuilder::default();
        let mut http = axum::Router::new();
        let mut grpc_names = Vec::new();
        for service in services {
            if let Some(add) = service.grpc {
                add(&mut routes);
                grpc_names.extend(service.grpc_names.iter().map(|name| (*name, service.name)));
            }
            if let Some(service_routes) = service.http {
                http = http.merge(service_routes);
            }
            tasks.spawn(
                service.name,
                supervise(service.name, service.run, readiness.clone(), stopping.clone()),
            );
        }
        let admin = admin::routes(readiness.clone(), self.metrics);
        self.listeners.spawn_servers(
            &mut tasks,
            server::Servers { http, admin, grpc: routes, grpc_names, authenticator },
            readiness,
        )?;
        let joined = tasks.join();
        tokio::pin!(joined);
        tokio::select! {
            ended = &mut joined => return ended,
            () = stopping.cancelled() => {}
        }
        tracing::info!("draining: no new work is taken");
        tokio::time::timeout(DRAIN_TIMEOUT, joined)
            .await
            .with_context(|| format!("work was still running {DRAIN_TIMEOUT:?} after the stop"))?
    }
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
            readiness.set(name, State::Stopping);
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

/// A token that SIGTERM or Ctrl-C cancels; a second signal ends the process at once.
///
/// # Errors
/// When the signals cannot be caught.
pub fn shutdown_on_signal() -> anyhow::Result<Shutdown> {
    let shutdown = Shutdown::new();
    let mut terminate = tokio::signal::unix::signal(SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(SignalKind::interrupt())?;
    let cancel = shutdown.clone();
    // This task has no end of its own: it must hear the second signal until the very end.
    #[expect(clippy::disallowed_methods, reason = "outlives every task group by design")]
    tokio::spawn(async move {
        let mut signals = 0_u32;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            signals += 1;
            if signals > 1 {
                tracing::warn!("second signal: ending at once");
                std::process::exit(130);
            }
            cancel.cancel();
        }
    });
    Ok(shutdown)
}
