//! The hub as a process of its own.

use std::{process::ExitCode, sync::Arc};

use bus::Bus;
use chassis::{
    Service,
    auth::Authenticator,
    grpc::Endpoint,
    process::{Surroundings, run_alone},
};
use database::TokenVerifier;
use serde::{Deserialize, Serialize};

/// The sections that this process reads beside those of every process.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Config {
    database: database::Config,
    bus: bus::Config,
    jobs: jobs::Config,
    hub: hub::Config,
    endpoints: Endpoints,
}

/// Where the other services answer, each with the hub's own token.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Endpoints {
    ingestion: Endpoint,
    knowledge: Endpoint,
    orchestrator: Endpoint,
}

fn main() -> ExitCode {
    run_alone(hub::NAME, build)
}

async fn build(config: Config, around: Surroundings) -> anyhow::Result<(Service, Authenticator)> {
    let pool = database::connect(&config.database).await?;
    let authenticator = Authenticator::new(Arc::new(TokenVerifier::new(pool.clone())));
    let service = hub::service(hub::Parts {
        config: config.hub,
        behind_tls: around.behind_tls,
        jobs: config.jobs,
        bus: Bus::connect(&config.bus).await?,
        authenticator: authenticator.clone(),
        ingestion: config.endpoints.ingestion,
        knowledge: config.endpoints.knowledge,
        orchestrator: config.endpoints.orchestrator,
        readiness: around.readiness,
        pool,
    })?;
    Ok((service, authenticator))
}
