//! Documents, chunks, embeddings, search.
//!
//! In: [`grpc`], and the jobs [`index`] (makes a document searchable), [`reembed`] (builds another
//! model's vectors) and [`upkeep`] (what is done now and then).
//!
//! - [`submit`] and [`removal`] change what is stored; [`observation`], [`submission`] and
//!   [`backlog`] decide.
//! - [`chunking`] cuts, [`embed`] and [`models`] turn passages into vectors.
//! - [`search`] answers: [`bm25`] scores words, [`fusion`] joins the legs, [`ranking`] weighs
//!   priority and age, [`highlight`] marks; [`cache`] remembers.
//!
//! Out: [`db`], schema `knowledge`.
//!
//! Invariants: an older observation never overwrites a newer one; a search asks one model; what
//! was deleted is in no answer that begins afterwards; this is the only crate that loads a model.

pub mod backlog;
pub mod bm25;
pub mod cache;
pub mod chunking;
pub mod config;
pub mod db;
pub mod embed;
pub mod error;
pub mod filter;
pub mod fusion;
pub mod grpc;
pub mod highlight;
pub mod index;
pub mod metrics;
pub mod models;
pub mod observation;
pub mod ranking;
pub mod reembed;
pub mod removal;
pub mod search;
pub mod submission;
pub mod submit;
pub mod upkeep;

use std::{sync::Arc, time::Duration};

use bus::Bus;
use chassis::{Service, Shutdown, Tasks, readiness::Readiness};
use jobs::{Job as _, NewJob, Schedule, schedule::Spec};
use proto::{MESSAGE_BYTES_MAX, knowledge::v1::knowledge_service_server::KnowledgeServiceServer};
use sqlx::PgPool;

pub use config::Config;

/// The service's name in logs, metrics and the ledger.
pub const SERVICE: &str = "knowledge";

/// The gRPC service's full name.
pub const GRPC_NAME: &str = "commandcenter.knowledge.v1.KnowledgeService";

/// When what is past its time is dropped.
const RETENTION_SCHEDULE: &str = "17 3 * * *";
const RETENTION_JITTER: Duration = Duration::from_secs(600);

/// The service, to be run by a process.
#[must_use]
pub fn service(
    config: Config,
    jobs: jobs::Config,
    pool: PgPool,
    bus: Bus,
    readiness: Readiness,
) -> Service {
    let config = Arc::new(config);
    let models = models::Models::new(pool.clone(), config.clone());
    let searcher = search::Searcher::new(&pool, models.clone(), config.clone());
    let grpc = grpc::Knowledge::new(pool.clone(), models.clone(), searcher);
    let parts = Parts { config, jobs, pool, bus, models, readiness };
    Service::new(SERVICE, move |shutdown| run(parts.clone(), shutdown)).grpc(
        &[GRPC_NAME],
        |routes| {
            let server = KnowledgeServiceServer::new(grpc)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX);
            routes.add_service(server);
        },
    )
}

#[derive(Clone)]
struct Parts {
    config: Arc<Config>,
    jobs: jobs::Config,
    pool: PgPool,
    bus: Bus,
    models: models::Models,
    readiness: Readiness,
}

async fn run(parts: Parts, shutdown: Shutdown) -> anyhow::Result<()> {
    let Parts { config, jobs, pool, bus, models, readiness } = parts;
    jobs::migrate(&pool).await?;
    database::migrate(&pool, db::SCHEMA, &db::MIGRATOR).await?;
    schedule_retention(&pool).await?;
    upkeep::refresh(&pool, &models).await?;
    let context = index::Context { pool: pool.clone(), models: models.clone() };
    let worker = jobs::Worker::builder(pool.clone(), bus, SERVICE, jobs)
        .register::<index::IndexDocument>(context.clone())
        .register::<reembed::Reembed>(context)
        .register::<upkeep::Retention>((pool.clone(), config));
    let mut tasks = Tasks::new(&shutdown);
    let stopping = tasks.shutdown();
    tasks.spawn("knowledge.jobs", worker.run(stopping.clone()));
    tasks.spawn("knowledge.statistics", upkeep::statistics(pool.clone(), stopping.clone()));
    tasks.spawn("knowledge.models", upkeep::models(pool, models, readiness, stopping));
    tasks.join().await
}

async fn schedule_retention(pool: &PgPool) -> anyhow::Result<()> {
    let (job, key) = (upkeep::Retention {}, upkeep::Retention::KIND);
    let spec = Spec {
        key: key.to_owned(),
        schedule: Schedule::parse(RETENTION_SCHEDULE, "UTC", key)?,
        jitter: RETENTION_JITTER,
        job: NewJob::new(&job, "documents past their time").key(key).template()?,
    };
    jobs::schedule::upsert(&mut *pool.acquire().await?, &spec).await?;
    Ok(())
}
