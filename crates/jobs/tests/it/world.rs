//! A database, a NATS server, and workers whose jobs do what a test tells them.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::Bus;
use chassis::Shutdown;
use futures::future::BoxFuture;
use jobs::ledger::{Record, State};
use jobs::{Config, Enqueued, Error, Job, Limits, NewJob, Outcome, RetryPolicy, Run, Worker};
use proto::{JobId, Reason};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use testkit::{Database, Nats, Postgres, eventually, eventually_eq};
use tokio::task::JoinSet;

/// How long a test waits for what should take moments; faults and neighbours take longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Short, so that the loss of a worker is noticed within a test's patience.
pub(crate) fn config() -> Config {
    Config {
        lease_ms: 1_500,
        heartbeat_ms: 200,
        poll_ms: 100,
        redispatch_ms: 2_000,
        drain_ms: 800,
        retention_ms: 600_000,
        answer_timeout_ms: 1_000,
    }
}

type Act = Arc<dyn Fn(String, Run) -> BoxFuture<'static, Result<Outcome, Error>> + Send + Sync>;

/// What jobs do, and the runs there were.
#[derive(Clone)]
pub(crate) struct Script {
    act: Act,
    seen: Arc<Mutex<Vec<(String, u32)>>>,
}

impl Script {
    pub(crate) fn new<F>(act: impl Fn(String, Run) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Outcome, Error>> + Send + 'static,
    {
        Self { act: Arc::new(move |name, run| Box::pin(act(name, run))), seen: Arc::default() }
    }

    /// Jobs that end well at once.
    pub(crate) fn done() -> Self {
        Self::new(|_, _| async { Ok(Outcome::Done) })
    }

    /// Names and attempts in the order in which runs began.
    pub(crate) fn seen(&self) -> Vec<(String, u32)> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.seen().into_iter().map(|(name, _)| name).collect()
    }
}

macro_rules! kind {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $concurrency:literal, $run_ms:literal) => {
        $(#[$doc])*
        #[derive(Debug, Serialize, Deserialize)]
        pub(crate) struct $name {
            pub(crate) name: String,
        }

        impl Job for $name {
            const KIND: &'static str = $kind;
            const LIMITS: Limits =
                Limits { run_ms: $run_ms, slice_ms: 50, concurrency: $concurrency, expires_s: 60 };
            const RETRY: RetryPolicy = RetryPolicy { first_ms: 20, cap_ms: 100, attempts_max: 3 };
            type Context = Script;

            async fn run(self, script: Script, run: Run) -> Result<Outcome, Error> {
                script.seen.lock().unwrap().push((self.name.clone(), run.attempt));
                (script.act)(self.name, run).await
            }
        }
    };
}
kind!(/** Several at once. */ Many, "test.many", 4, 20_000);
kind!(/** One at a time. */ Single, "test.single", 1, 20_000);
kind!(/** Ended early. */ Brief, "test.brief", 1, 400);

/// A failure that may pass.
pub(crate) fn unavailable() -> Error {
    Error::transient(Reason::Unavailable, "the site https://a.example is away")
}

/// Servers with the ledger's schema.
pub(crate) struct World {
    pub(crate) pool: PgPool,
    pub(crate) nats: Nats,
    pub(crate) bus: Bus,
    pub(crate) database: Database,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on(Postgres::start().await).await
    }

    pub(crate) async fn on(postgres: &Postgres) -> Self {
        let (database, nats) = tokio::join!(postgres.database(), Nats::start());
        let pool = connect(&database).await;
        jobs::migrate(&pool).await.unwrap();
        let config = bus::Config { url: nats.url_with_credentials().into(), ..Default::default() };
        let bus = Bus::connect(&config).await.unwrap();
        // Work goes on without the bus, so a test would not notice that it is not there.
        eventually_eq(PATIENCE, true, || async { bus.is_connected() }).await;
        Self { pool, nats, bus, database }
    }

    /// A worker of all kinds with a pool of its own, as another process would have.
    pub(crate) async fn worker(&self, script: &Script) -> Running {
        let pool = connect(&self.database).await;
        let worker = Worker::builder(pool, self.bus.clone(), "test", config())
            .register::<Many>(script.clone())
            .register::<Single>(script.clone())
            .register::<Brief>(script.clone());
        let stop = Shutdown::new();
        let mut task = JoinSet::new();
        task.spawn(worker.run(stop.clone()));
        Running { stop, task }
    }

    pub(crate) async fn enqueue<J: Job>(&self, new: NewJob<'_, J>) -> Enqueued {
        let mut transaction = self.pool.begin().await.unwrap();
        let enqueued = jobs::enqueue(&mut transaction, new).await.unwrap();
        transaction.commit().await.unwrap();
        enqueued
    }

    /// Enqueues a job of the kind `Many`.
    pub(crate) async fn many(&self, name: &str) -> JobId {
        self.enqueue(NewJob::new(&Many { name: name.to_owned() }, name)).await.id
    }

    pub(crate) async fn record(&self, id: JobId) -> Record {
        jobs::ledger::get(&self.pool, id).await.unwrap().0
    }

    /// What became of each attempt, the first first.
    pub(crate) async fn outcomes(&self, id: JobId) -> Vec<String> {
        let (_, attempts) = jobs::ledger::get(&self.pool, id).await.unwrap();
        attempts.into_iter().rev().filter_map(|attempt| attempt.outcome).collect()
    }

    pub(crate) async fn ends(&self, id: JobId, state: State) -> Record {
        eventually(PATIENCE, || async {
            match jobs::ledger::get(&self.pool, id).await {
                Ok((record, _)) if record.state == state => Ok(record),
                other => Err(other.map(|(record, _)| record)),
            }
        })
        .await
    }

    /// Waits until every job is in this state.
    pub(crate) async fn all_end(&self, state: State) {
        eventually(PATIENCE, || async {
            match jobs::ledger::counts(&self.pool, &Default::default()).await {
                Ok(counts) if counts.len() == 1 && counts.contains_key(&state) => Ok(()),
                other => Err(other),
            }
        })
        .await;
    }

    /// One number from the database.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }
}

async fn connect(database: &Database) -> PgPool {
    let config = database::Config {
        url: database.url.clone().into(),
        connections_max: 12,
        acquire_timeout_ms: 2_000,
        ..Default::default()
    };
    database::connect(&config).await.unwrap()
}

/// A worker that runs.
pub(crate) struct Running {
    stop: Shutdown,
    task: JoinSet<anyhow::Result<()>>,
}

impl Running {
    /// Asks it to stop and waits until it has.
    pub(crate) async fn drain(mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.task.join_next()).await;
        ended.expect("the worker ends").expect("it ran").expect("no panic").expect("no error");
    }

    /// Ends it as kill -9 would: nothing is handed back, every lease is left behind.
    pub(crate) async fn kill(mut self) {
        self.task.shutdown().await;
    }
}
