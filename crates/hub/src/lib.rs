//! The public REST API and the web pages.
//!
//! - [`Config`], [`service`]: what a process gives, and what it runs.
//! - [`openapi`]: what REST offers, for docs and tests.
//! - Ways in: `routes` (REST under `/api`, pages, assets), `grpc` (jobs and projects), each behind
//!   a gate that finds the `identity` of who asks.
//! - What callers can do, once for REST, pages and gRPC: `projects`, `sources`, `documents`,
//!   `search`, `jobs`, `users`, `tokens`, `audit`, `status`, `sign_in`; of stacks: `stacks`,
//!   `health`, `resources`, `failures`, `hardening`, `logs`, `operations`, `secrets`, `scans`.
//! - Ways out: `db` (schema `hub`), `clients` (ingestion, knowledge and the orchestrator, with the
//!   caller's own token), the ledger of the crate `jobs`.
//! - `bootstrap` makes the first administrator, `purge` removes projects and what is too old.
//! - For pages: `view`, `ansi`, `highlight` and `markdown` are pure.
//!
//! Invariants: every route but sign-in and assets needs a caller; a secret is stored as a hash
//! only; every write that goes through the hub is recorded in the audit log.

mod ansi;
mod app;
mod audit;
mod bootstrap;
mod clients;
mod config;
mod db;
mod documents;
mod error;
mod failures;
mod grpc;
mod hardening;
mod health;
mod highlight;
mod identity;
mod jobs;
mod logs;
mod markdown;
mod metrics;
mod operations;
mod page;
mod password;
mod priority;
mod projects;
mod purge;
mod resources;
mod routes;
mod scans;
mod scope;
mod search;
mod secret;
mod secrets;
mod sign_in;
mod sources;
mod stacks;
mod status;
mod streams;
mod tokens;
mod users;
mod view;

pub use config::Config;

use std::sync::Arc;

use ::jobs::Worker;
use anyhow::Context as _;
use bus::Bus;
use chassis::{
    Service, Shutdown,
    auth::Authenticator,
    grpc::Endpoint,
    readiness::{Readiness, State},
};
use proto::{
    Failure, MESSAGE_BYTES_MAX, hub::v1::project_service_server::ProjectServiceServer,
    jobs::v1::job_service_server::JobServiceServer,
};
use sqlx::PgPool;

use crate::{app::App, clients::Clients, sign_in::Limits, streams::Streams};

/// The service's name in `/readyz`, logs and metrics.
pub const NAME: &str = "hub";

/// The schema that holds the hub's tables.
const SCHEMA: &str = "hub";

/// What the hub is given by its process.
pub struct Parts {
    /// How it serves.
    pub config: Config,
    /// Another program in front terminates TLS (`http.tls_terminated_upstream`): cookies are for
    /// TLS only, and a client's address is the last one of `X-Forwarded-For`.
    pub behind_tls: bool,
    /// How its worker behaves.
    pub jobs: ::jobs::Config,
    /// The database.
    pub pool: PgPool,
    /// NATS, for the hub's own jobs.
    pub bus: Bus,
    /// Where ingestion answers, and the hub's own token.
    pub ingestion: Endpoint,
    /// Where knowledge answers, and the hub's own token.
    pub knowledge: Endpoint,
    /// Where the orchestrator answers, and the hub's own token.
    pub orchestrator: Endpoint,
    /// The process' authenticator, so that signing out takes effect at once.
    pub authenticator: Authenticator,
    /// The process' report.
    pub readiness: Readiness,
}

/// The hub, ready to be run by a process.
///
/// # Errors
/// `INVALID_INPUT` when an endpoint is malformed.
pub fn service(parts: Parts) -> Result<Service, Failure> {
    let config = parts.config;
    let app = Arc::new(App {
        clients: Clients::new(&parts.ingestion, &parts.knowledge, &parts.orchestrator)?,
        authenticator: parts.authenticator,
        readiness: parts.readiness,
        sign_in_limits: Limits::per_minute(config.sign_in_per_minute),
        streams: Streams::new(config.event_streams_max, config.event_streams_per_caller_max),
        behind_tls: parts.behind_tls,
        stopping: Shutdown::new(),
        pool: parts.pool,
        config,
    });
    let (bus, jobs) = (parts.bus, parts.jobs);
    let http = routes::routes(Arc::clone(&app));
    let for_grpc = Arc::clone(&app);
    let names = ["commandcenter.hub.v1.ProjectService", "commandcenter.jobs.v1.JobService"];
    let work = move |shutdown| {
        let app = Arc::clone(&app);
        let worker = Worker::builder(app.pool.clone(), bus.clone(), NAME, jobs.clone())
            .register::<purge::PurgeProject>(Arc::clone(&app))
            .register::<purge::Retention>(Arc::clone(&app));
        run(app, worker, shutdown)
    };
    Ok(Service::new(NAME, work).http(http).grpc(&names, move |routes| {
        routes
            .add_service(
                JobServiceServer::new(grpc::Jobs(Arc::clone(&for_grpc)))
                    .max_decoding_message_size(MESSAGE_BYTES_MAX),
            )
            .add_service(
                ProjectServiceServer::new(grpc::Projects(for_grpc))
                    .max_decoding_message_size(MESSAGE_BYTES_MAX),
            );
    }))
}

/// The OpenAPI document of the REST API, as `/api/openapi.json` serves it.
#[must_use]
pub fn openapi() -> &'static utoipa::openapi::OpenApi {
    routes::api::document()
}

async fn run(app: Arc<App>, worker: Worker, shutdown: Shutdown) -> anyhow::Result<()> {
    database::migrate(&app.pool, SCHEMA, &db::MIGRATOR).await?;
    ::jobs::migrate(&app.pool).await?;
    bootstrap::run(&app.pool, &app.config).await.context("cannot make the first tokens")?;
    purge::schedule(&app.pool).await?;
    app.readiness.set(NAME, State::Ready);
    let stop = app.stopping.clone();
    let ended = shutdown.clone();
    let mut tasks = chassis::Tasks::new(&shutdown);
    tasks.spawn("hub.worker", worker.run(shutdown.clone()));
    tasks.spawn("hub.streams", async move {
        // Live streams would otherwise hold the drain up.
        ended.cancelled().await;
        stop.cancel();
        Ok(())
    });
    tasks.join().await
}
