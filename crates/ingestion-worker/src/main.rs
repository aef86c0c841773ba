//! The ingestion worker as a process of its own.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context as _;
use bus::Bus;
use chassis::{
    Service,
    auth::Authenticator,
    grpc::Endpoint,
    process::{Surroundings, run_alone},
    seal::Keyring,
};
use database::TokenVerifier;
use ingestion_worker::{NAME, Parts, fetch, service};
use serde::{Deserialize, Serialize};

/// The sections that this process reads beside those of every process.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Config {
    database: database::Config,
    bus: bus::Config,
    jobs: jobs::Config,
    fetch: fetch::Config,
    ingestion: ingestion_worker::Config,
    endpoints: Endpoints,
}

/// The services that ingestion calls, with its own token.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Endpoints {
    knowledge: Endpoint,
}

fn main() -> ExitCode {
    run_alone(NAME, build)
}

async fn build(config: Config, around: Surroundings) -> anyhow::Result<(Service, Authenticator)> {
    let key_file = config.ingestion.seal_key_file.as_deref();
    let key_file = key_file.context("ingestion.seal_key_file is not set: name the key's file")?;
    let keyring = Keyring::open_or_create(key_file)?;
    let pool = database::connect(&config.database).await?;
    let authenticator = Authenticator::new(Arc::new(TokenVerifier::new(pool.clone())));
    let service = service(Parts {
        config: config.ingestion,
        fetch: config.fetch,
        jobs: config.jobs,
        pool,
        bus: Bus::connect(&config.bus).await?,
        keyring,
        knowledge: config.endpoints.knowledge,
        readiness: around.readiness,
    })?;
    Ok((service, authenticator))
}
