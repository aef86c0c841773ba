//! The services, built and wired to each other over loopback.

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::Context as _;
use bus::Bus;
use chassis::{
    Service, auth::Authenticator, grpc::Endpoint, process::Addresses, readiness::Readiness,
    seal::Keyring,
};
use database::TokenVerifier;
use sqlx::PgPool;

use super::config::Config;
use crate::servers;

/// The key file that seals secrets at rest, in the data directory's folder of secrets.
const SEAL_KEY: &str = "seal.key";

/// What the process runs.
pub(super) struct Built {
    pub(super) services: Vec<Service>,
    pub(super) authenticator: Authenticator,
    /// The database that they share.
    pub(super) pool: PgPool,
}

/// Builds every service; they start to work only when the process runs them.
pub(super) async fn build(
    config: &Config,
    data_dir: &Path,
    addresses: Addresses,
    readiness: &Readiness,
) -> anyhow::Result<Built> {
    let pool = database::connect(&config.database).await?;
    let bus = Bus::connect(&config.bus).await?;
    let keyring = Keyring::open_or_create(&data_dir.join("secrets").join(SEAL_KEY))?;
    let authenticator = Authenticator::new(Arc::new(TokenVerifier::new(pool.clone())));
    let grpc = addresses.grpc.context("the gRPC server has no address")?;

    let knowledge = knowledge::service(
        config.knowledge.clone(),
        config.jobs.clone(),
        pool.clone(),
        bus.clone(),
        readiness.clone(),
    );
    let ingestion = ingestion_worker::service(ingestion_worker::Parts {
        config: config.ingestion.clone(),
        fetch: config.fetch.clone(),
        jobs: config.jobs.clone(),
        pool: pool.clone(),
        bus: bus.clone(),
        keyring: keyring.clone(),
        knowledge: endpoint(config, "ingestion-worker", grpc)?,
        readiness: readiness.clone(),
    })?;
    let own = endpoint(config, "hub", grpc)?;
    let hub = hub::service(hub::Parts {
        config: config.hub.clone(),
        behind_tls: config.http.tls_terminated_upstream,
        jobs: config.jobs.clone(),
        pool: pool.clone(),
        bus,
        authenticator: authenticator.clone(),
        ingestion: own.clone(),
        orchestrator: own.clone(),
        knowledge: own,
        readiness: readiness.clone(),
    })?;
    let orchestrator = orchestrator::service(orchestrator::Parts {
        config: config.orchestrator.clone(),
        pool: pool.clone(),
        keyring,
        readiness: readiness.clone(),
        failpoint: orchestrator::Failpoint::default(),
    })?;
    Ok(Built { services: vec![hub, ingestion, knowledge, orchestrator], authenticator, pool })
}

/// This process' own gRPC server, called in the name of `service`. The token's file is made here
/// when it is missing; the hub learns of it when it starts.
fn endpoint(config: &Config, service: &str, grpc: SocketAddr) -> anyhow::Result<Endpoint> {
    let file = config
        .hub
        .service_token_files
        .get(service)
        .with_context(|| format!("hub.service_token_files names no file for {service}"))?;
    let token = servers::password(file)?;
    Ok(Endpoint { url: format!("http://{grpc}"), token, ca_file: None })
}
