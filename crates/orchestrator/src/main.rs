//! The orchestrator as a process of its own.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use chassis::Service;
use chassis::auth::Authenticator;
use chassis::process::{Surroundings, run_alone};
use chassis::seal::Keyring;
use database::TokenVerifier;
use orchestrator::{Failpoint, NAME, Parts, service};
use serde::{Deserialize, Serialize};

/// The sections that this process reads beside those of every process.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Config {
    database: database::Config,
    orchestrator: orchestrator::Config,
}

fn main() -> ExitCode {
    run_alone(NAME, build)
}

async fn build(config: Config, around: Surroundings) -> anyhow::Result<(Service, Authenticator)> {
    let key_file = config.orchestrator.seal_key_file.as_deref();
    let key_file =
        key_file.context("orchestrator.seal_key_file is not set: name the key's file")?;
    let keyring = Keyring::open_or_create(key_file)?;
    let pool = database::connect(&config.database).await?;
    let authenticator = Authenticator::new(Arc::new(TokenVerifier::new(pool.clone())));
    let service = service(Parts {
        config: config.orchestrator,
        pool,
        keyring,
        readiness: around.readiness,
        failpoint: Failpoint::default(),
    })?;
    Ok((service, authenticator))
}
