//! A service as a process of its own.

use std::{future::Future, process::ExitCode, time::Duration};

use anyhow::Context as _;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Addresses, Config, Listener, Process, Service, shutdown_on_signal};
use crate::{
    auth::Authenticator,
    config::{self, Layers},
    readiness::Readiness,
};

/// How long threads that are still busy after the drain are waited for.
const RUNTIME_TIMEOUT: Duration = Duration::from_secs(1);

/// The sections of every process, and beside them those of the service.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
struct Settings<C> {
    http: Listener,
    grpc: Listener,
    admin: Listener,
    telemetry: telemetry::Config,
    #[serde(flatten)]
    service: C,
}

impl<C: Default> Default for Settings<C> {
    fn default() -> Self {
        let Config { http, grpc, admin } = Config::default();
        let telemetry = telemetry::Config::default();
        Self { http, grpc, admin, telemetry, service: C::default() }
    }
}

/// What a service is built from, beside its own sections.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Where the process listens.
    pub addresses: Addresses,
    /// Hears how the service does.
    pub readiness: Readiness,
    /// Another program in front of its HTTP server terminates TLS.
    pub behind_tls: bool,
}

/// The whole `main` of a service that runs alone: reads the configuration (`C` holds the sections
/// of the service), turns telemetry on, binds, builds, serves until a signal, drains.
///
/// The exit code is 0 after a drain, 2 for a configuration that a person must mend, else 1.
pub fn run_alone<C, F, Fut>(name: &'static str, build: F) -> ExitCode
where
    C: Default + Serialize + DeserializeOwned,
    F: FnOnce(C, Surroundings) -> Fut,
    Fut: Future<Output = anyhow::Result<(Service, Authenticator)>>,
{
    match start(name, build) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            let usage = error.downcast_ref::<config::Error>().is_some();
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

fn start<C, F, Fut>(name: &'static str, build: F) -> anyhow::Result<()>
where
    C: Default + Serialize + DeserializeOwned,
    F: FnOnce(C, Surroundings) -> Fut,
    Fut: Future<Output = anyhow::Result<(Service, Authenticator)>>,
{
    let layers = Layers::of_process(Vec::new(), Vec::new());
    let settings: Settings<C> = config::load(&layers)?.config;
    let telemetry = telemetry::start(name, &settings.telemetry)?;
    let metrics = telemetry.metrics();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let shutdown = shutdown_on_signal()?;
        let readiness = Readiness::default();
        let Settings { http, grpc, admin, service, .. } = settings;
        let behind_tls = http.tls_terminated_upstream;
        let listeners = Config { http, grpc, admin };
        let process = Process::bind(&listeners, readiness.clone(), metrics).await?;
        let surroundings =
            Surroundings { addresses: process.addresses(), readiness, behind_tls };
        let (service, authenticator) =
            build(service, surroundings).await.context("cannot be built")?;
        process.serve(vec![service], authenticator, shutdown).await
    });
    runtime.shutdown_timeout(RUNTIME_TIMEOUT);
    telemetry.stop();
    ended
}
