//! The knowledge service as a process of its own.

use std::{process::ExitCode, sync::Arc};

use bus::Bus;
use chassis::{
    Service,
    auth::Authenticator,
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
    knowledge: knowledge::Config,
}

fn main() -> ExitCode {
    run_alone(knowledge::SERVICE, build)
}

async fn build(config: Config, around: Surroundings) -> anyhow::Result<(Service, Authenticator)> {
    let pool = database::connect(&config.database).await?;
    let bus = Bus::connect(&config.bus).await?;
    let authenticator = Authenticator::new(Arc::new(TokenVerifier::new(pool.clone())));
    let service = knowledge::service(config.knowledge, config.jobs, pool, bus, around.readiness);
    Ok((service, authenticator))
}
