//! The worker with listeners, database and bus of its own.

use anyhow::Context as _;
use bus::Bus;
use chassis::Process;
use chassis::auth::Authenticator;
use chassis::grpc::Endpoint;
use chassis::process::{Listener, shutdown_on_signal};
use chassis::readiness::Readiness;
use chassis::seal::Keyring;
use database::TokenVerifier;
use ingestion_worker::{NAME, Parts, fetch, service};
use serde::{Deserialize, Serialize};

/// The sections that this process reads.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    grpc: Listener,
    admin: Listener,
    telemetry: telemetry::Config,
    database: database::Config,
    bus: bus::Config,
    jobs: jobs::Config,
    fetch: fetch::Config,
    ingestion: ingestion_worker::Config,
    endpoints: Endpoints,
}

impl Default for Config {
    fn default() -> Self {
        let listeners = chassis::process::Config::default();
        Self {
            grpc: listeners.grpc,
            admin: listeners.admin,
            telemetry: telemetry::Config::default(),
            database: database::Config::default(),
            bus: bus::Config::default(),
            jobs: jobs::Config::default(),
            fetch: fetch::Config::default(),
            ingestion: ingestion_worker::Config::default(),
            endpoints: Endpoints::default(),
        }
    }
}

/// Where other services are.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Endpoints {
    knowledge: Endpoint,
}

/// Runs until a signal ends it.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    let telemetry = telemetry::start(NAME, &config.telemetry)?;
    let shutdown = shutdown_on_signal()?;
    let readiness = Readiness::default();
    let listeners = chassis::process::Config {
        grpc: config.grpc,
        admin: config.admin,
        http: Listener::on_loopback(0),
    };
    let process = Process::bind(&listeners, readiness.clone(), telemetry.metrics()).await?;
    let pool = database::connect(&config.database).await?;
    let key_file = config.ingestion.seal_key_file.as_deref();
    let key_file = key_file.context("ingestion.seal_key_file is not set: name the key's file")?;
    let service = service(Parts {
        keyring: Keyring::open_or_create(key_file)?,
        config: config.ingestion,
        fetch: config.fetch,
        jobs: config.jobs,
        pool: pool.clone(),
        bus: Bus::connect(&config.bus).await?,
        knowledge: config.endpoints.knowledge,
        readiness,
    })?;
    let verifier = TokenVerifier::new(pool);
    let authenticator = Authenticator::new(std::sync::Arc::new(verifier));
    let served = process.serve(vec![service], authenticator, shutdown).await;
    telemetry.stop();
    served
}
