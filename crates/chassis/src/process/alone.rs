//! A service as a process of its own.

use std::{future::Future, process::ExitCode, time::Duration};

use anyhow::Context as _;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Addresses, Config, Listener, Process, Service, Signals, exit_code};
use crate::{
    auth::Authenticator,
    config::{self, Layers, Loaded},
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
/// The exit code is 0 after a drain, else that of [`exit_code`].
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
            ExitCode::from(exit_code(&error))
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
    let loaded: Loaded<Settings<C>> = config::load(&layers)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let telemetry = telemetry::start(name, &loaded.config.telemetry)?;
        let ended = run(loaded, build, telemetry.metrics()).await;
        telemetry.stop().await;
        ended
    });
    runtime.shutdown_timeout(RUNTIME_TIMEOUT);
    ended
}

async fn run<C, F, Fut>(
    loaded: Loaded<Settings<C>>,
    build: F,
    metrics: telemetry::Metrics,
) -> anyhow::Result<()>
where
    F: FnOnce(C, Surroundings) -> Fut,
    Fut: Future<Output = anyhow::Result<(Service, Authenticator)>>,
{
    let signals = Signals::watch()?;
    let readiness = Readiness::default();
    let Settings { http, grpc, admin, service, .. } = loaded.config;
    let behind_tls = http.tls_terminated_upstream;
    let listeners = Config { http, grpc, admin }.keep_chosen_ports(&loaded.explained);
    let serve = async {
        let process = Process::bind(&listeners, readiness.clone(), metrics).await?;
        let addresses = process.addresses();
        let surroundings = Surroundings { addresses, readiness, behind_tls };
        // Nothing has to be finished yet when the stop comes this early.
        let Some(built) = signals.stop().run_until_cancelled(build(service, surroundings)).await
        else {
            return Ok(());
        };
        let (service, authenticator) = built.context("cannot be built")?;
        process.serve(vec![service], authenticator, signals.stop()).await
    };
    signals.run(serve).await
}
