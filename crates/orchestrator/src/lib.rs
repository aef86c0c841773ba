//! Keeps each project's containers in the state its owner declared.
//!
//! - Input: [`spec`] (what a stack is).
//! - The Engine: [`docker`] (the only place that names its library), [`observe`], [`observed`],
//!   [`naming`] (names and labels of what we own).
//! - [`isolation`]: keeps stacks away from the host.
//! - [`logs`]: one timeline for each service.
//! - Ways in: [`grpc`]. Ways out: [`db`], [`docker`].
//! - Decisions, pure: [`plan`], [`memory`] (what happened), [`health`], [`operation`], [`diff`],
//!   [`subnet`], [`files`] (what a service finds in place); [`reconcile`] carries them out.
//! - Values that only services shall see: [`secret`].
//! - [`scan`]: whether images have known vulnerabilities, and whether that stops them.
//! - What goes: [`retention`] (old rows), [`dangling`] (objects that nobody knows; pure).
//! - Verdicts, all pure: [`hardening`] (what was promised against what is), [`reason`] (why
//!   something is not well, and what follows), [`restart`],
//!   [`breaker`], [`status`].
//! - Watching: [`probe`] (whether a service works), [`usage`] (of its limits), [`postmortem`]
//!   (what is known about an end).
//!
//! Invariants: the wish is in Postgres before Docker is touched; nothing without our label is ever
//! touched; a volume goes only on an explicit request.

pub mod app;
pub mod breaker;
pub mod config;
pub mod dangling;
pub mod db;
pub mod diff;
pub mod docker;
pub mod files;
pub mod grpc;
pub mod hardening;
pub mod health;
pub mod isolation;
pub mod logs;
pub mod memory;
pub mod metrics;
pub mod naming;
pub mod observe;
pub mod observed;
pub mod operation;
pub mod plan;
pub mod postmortem;
pub mod probe;
pub mod reason;
pub mod reconcile;
pub mod restart;
pub mod retention;
pub mod scan;
pub mod secret;
pub mod spec;
pub mod status;
pub mod subnet;
pub mod usage;

use std::sync::Arc;

use chassis::readiness::Readiness;
use chassis::seal::Keyring;
use chassis::{Service, Shutdown, Tasks};
use sqlx::PgPool;

use app::App;

pub use config::Config;
pub use reconcile::Failpoint;

/// The service in logs, metrics and `/readyz`.
pub const NAME: &str = "orchestrator";

/// The schema that holds our tables.
pub const SCHEMA: &str = "orchestrator";

/// What the service is built from.
pub struct Parts {
    /// Section `orchestrator`.
    pub config: Config,
    /// The database.
    pub pool: PgPool,
    /// Seals secrets.
    pub keyring: Keyring,
    /// Hears how the service does.
    pub readiness: Readiness,
    /// Where tests break off; the default is nowhere.
    pub failpoint: Failpoint,
}

/// The service, ready to be run.
///
/// # Errors
/// When the configuration names no IPv4 network for `orchestrator.subnets`, or no names for
/// `orchestrator.bridges`.
pub fn service(parts: Parts) -> anyhow::Result<Service> {
    let Parts { config, pool, keyring, readiness, failpoint } = parts;
    config.pool()?;
    config.check_bridges()?;
    let app = App::new(config, pool, keyring, failpoint);
    let served = app.clone();
    let service = Service::new(NAME, move |shutdown| run(app.clone(), readiness.clone(), shutdown));
    Ok(service.grpc(&grpc::NAMES, move |routes| grpc::add(routes, served)))
}

async fn run(app: Arc<App>, readiness: Readiness, shutdown: Shutdown) -> anyhow::Result<()> {
    database::migrate(&app.pool, SCHEMA, &db::MIGRATOR).await?;
    app.set_owner(db::installation::id(&app.pool).await?);
    let mut tasks = Tasks::new(&shutdown);
    let (usage, docker) = (app.usage.clone(), app.docker.clone());
    tasks.spawn("usage", usage.run(docker, tasks.shutdown()));
    tasks.spawn("readiness", tell(app.clone(), readiness, tasks.shutdown()));
    let (logs, shutdown) = (app.logs.clone(), tasks.shutdown());
    tasks.spawn("logs", async move { logs.run(shutdown).await });
    let (scanner, woken) = (app.scanner.clone(), app.clone());
    tasks.spawn("scanner", scanner.run(tasks.shutdown(), move || woken.happened(|_| true)));
    tasks.spawn("metrics", metrics::run(app.clone(), tasks.shutdown()));
    tasks.spawn("retention", retention::run(app.clone(), tasks.shutdown()));
    tasks.spawn("reconcile", reconcile::run(app, tasks.shutdown()));
    tasks.join().await
}

/// Says whether Docker is there: without it everything else works.
async fn tell(app: Arc<App>, readiness: Readiness, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut states = app.lease.readiness();
    loop {
        let state = states.borrow_and_update().clone();
        readiness.set(NAME, state);
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            changed = states.changed() => changed?,
        }
    }
}
