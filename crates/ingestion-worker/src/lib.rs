//! Sources, schedules, and the fetch and process stages: turns a source into documents.
//!
//! - Ways in: [`grpc`] (sources, documents handed over) and [`stage`] (the jobs).
//! - Decisions, pure: [`change`] (new, edited, unchanged), [`politeness`], [`freshness`],
//!   [`source`] and [`handed`] (what is accepted), [`document`].
//! - Content, pure: [`charset`], [`feed`], [`page`].
//! - Ways out: [`db`], [`clients`] (knowledge), [`fetch`] (sites), [`slot`] (a place at a host).
//! - [`reading`]: content is read off the reactor, within a deadline.
//!
//! Invariants: nothing is fetched but through [`fetch`]; an item, its content and its job are
//! stored in one transaction; a document leaves only with a number that was drawn before its bytes
//! were read.

pub mod app;
pub mod change;
pub mod charset;
pub mod clients;
pub mod config;
pub mod credential;
pub mod db;
pub mod document;
pub mod error;
pub mod feed;
pub mod fetch;
pub mod freshness;
pub mod grpc;
pub mod handed;
pub mod metrics;
pub mod page;
pub mod politeness;
pub mod reading;
pub mod slot;
pub mod source;
pub mod stage;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bus::Bus;
use chassis::grpc::Endpoint;
use chassis::readiness::{Readiness, State};
use chassis::seal::Keyring;
use chassis::{Service, Shutdown};
use jobs::Worker;
use sqlx::PgPool;

use app::App;
use stage::retention::{SCHEDULE, SCHEDULE_KEY};
use stage::{Fetch, Process, Purge, Rank, Retention};

pub use config::Config;

/// The service in logs, metrics and `/readyz`.
pub const NAME: &str = "ingestion-worker";

/// The schema that holds our tables.
pub const SCHEMA: &str = "ingestion";

/// What the service is built from.
pub struct Parts {
    /// Section `ingestion`.
    pub config: Config,
    /// Section `fetch`.
    pub fetch: fetch::Config,
    /// Section `jobs`.
    pub jobs: jobs::Config,
    /// The database.
    pub pool: PgPool,
    /// Carries tickets and facts.
    pub bus: Bus,
    /// Seals credentials.
    pub keyring: Keyring,
    /// Where documents go.
    pub knowledge: Endpoint,
    /// Hears how the service does.
    pub readiness: Readiness,
}

/// The service, ready to be run.
///
/// # Errors
/// When the configuration of [`fetch`] or the endpoint of knowledge is malformed.
pub fn service(parts: Parts) -> anyhow::Result<Service> {
    let Parts { config, fetch, jobs, pool, bus, keyring, knowledge, readiness } = parts;
    let knowledge = clients::Knowledge::new(&knowledge)?;
    let app = App::new(config, pool, keyring, knowledge, fetch)?;
    metrics::describe();
    let served = app.clone();
    let service = Service::new(NAME, move |shutdown| {
        run(app.clone(), bus.clone(), jobs.clone(), readiness.clone(), shutdown)
    });
    Ok(service.grpc(&grpc::NAMES, move |routes| grpc::add(routes, served)))
}

async fn run(
    app: Arc<App>,
    bus: Bus,
    config: jobs::Config,
    readiness: Readiness,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    jobs::migrate(&app.pool).await?;
    database::migrate(&app.pool, SCHEMA, &db::MIGRATOR).await?;
    schedule_retention(&app.pool).await.context("the nightly clean-up cannot be scheduled")?;
    readiness.set(NAME, State::Ready);
    Worker::builder(app.pool.clone(), bus, NAME, config)
        .register::<Fetch>(app.clone())
        .register::<Process>(app.clone())
        .register::<Purge>(app.clone())
        .register::<Rank>(app.clone())
        .register::<Retention>(app)
        .run(shutdown)
        .await?;
    Ok(())
}

async fn schedule_retention(pool: &PgPool) -> anyhow::Result<()> {
    let schedule = jobs::Schedule::parse(SCHEDULE, "UTC", SCHEDULE_KEY)?;
    let job = Retention {}.job().template()?;
    let key = SCHEDULE_KEY.to_owned();
    let spec = jobs::schedule::Spec { key, schedule, jitter: Duration::ZERO, job };
    jobs::schedule::upsert(&mut *pool.acquire().await?, &spec).await?;
    Ok(())
}
