//! Runs jobs: one worker serves the kinds of one service, any number of replicas share them.
//!
//! - [`registry`]: the kinds, without their types.
//! - [`slot`]: takes a ticket, claims the best row, runs it, says how it ended.
//! - [`supervise`]: one run under its limits.
//! - [`dispatcher`], [`listener`]: make tickets for due rows, woken by the ledger.
//! - [`leases`], [`heartbeat`], [`reaper`]: who lives, and what the dead left behind.
//! - [`chores`]: schedules, the outbox's relay, retention, gauges.

mod chores;
mod dispatcher;
mod heartbeat;
mod leases;
mod listener;
mod reaper;
mod registry;
mod settle;
mod slot;
mod supervise;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use bus::{Bus, Tickets};
use chassis::{Shutdown, Tasks};
use sqlx::PgPool;
use tokio::sync::{Notify, RwLock};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::claim;
use crate::config::Config;
use crate::db;
use crate::job::Job;
use crate::run::StopReason;
use heartbeat::Heartbeat;
use leases::Leases;
use registry::Registered;

/// Runs the registered kinds until it is told to stop.
#[must_use]
pub struct Worker {
    pool: PgPool,
    bus: Bus,
    service: &'static str,
    config: Config,
    kinds: HashMap<&'static str, Registered>,
}

/// What the parts of a running worker share.
pub(crate) struct Core {
    pool: PgPool,
    bus: Bus,
    config: Config,
    /// A new one at each start: an id that outlived its process would hide a crash.
    id: Uuid,
    kinds: HashMap<&'static str, Kind>,
    leases: Arc<Leases>,
    /// Held for reading by every run, for writing by a suspect's, so that a job which once took
    /// its worker down runs alone.
    company: RwLock<()>,
    suspects: Notify,
    dispatch: Notify,
    outbox: Notify,
    /// Fires when runs should yield.
    drain: CancellationToken,
}

/// One kind of a running worker.
pub(crate) struct Kind {
    registered: Registered,
    tickets: Tickets,
    /// Claims so far, for the turn of low priorities.
    claims: AtomicU64,
    /// There may be something to claim although no ticket can come.
    due: Notify,
    /// There is something urgent.
    urgent: Notify,
    /// The ledger said that there is something to dispatch.
    dispatch: AtomicBool,
}

impl Worker {
    /// A worker of `service`; register kinds, then [`Worker::run`].
    pub fn builder(pool: PgPool, bus: Bus, service: &'static str, config: Config) -> Self {
        Self { pool, bus, service, config, kinds: HashMap::new() }
    }

    /// Adds a kind.
    ///
    /// # Panics
    /// When `J::KIND` is not of the form `area.verb`, or is registered already: both are mistakes
    /// in the program.
    pub fn register<J: Job>(mut self, context: J::Context) -> Self {
        assert!(bus::subject::is_kind(J::KIND), "{:?} is not of the form area.verb", J::KIND);
        let before = self.kinds.insert(J::KIND, Registered::of::<J>(context));
        assert!(before.is_none(), "the kind {:?} is registered twice", J::KIND);
        self
    }

    /// Runs until `shutdown`; then drains: takes nothing more, lets running jobs finish or yield,
    /// and hands back what is not over after `drain_ms`.
    ///
    /// # Errors
    /// The first failure of a part; the ledger keeps all work for the next start.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let mut tasks = Tasks::new(&shutdown);
        let stop = tasks.shutdown();
        let service = self.service;
        let core = Arc::new(self.start());
        core.register_kinds(service).await?;
        let _heartbeat = Heartbeat::start(&core)?;

        tasks.spawn("jobs.listen", listener::run(core.clone(), stop.clone()));
        tasks.spawn("jobs.dispatch", dispatcher::run(core.clone(), stop.clone()));
        tasks.spawn("jobs.reap", reaper::run(core.clone(), stop.clone()));
        tasks.spawn("jobs.suspects", slot::suspects(core.clone(), stop.clone()));
        tasks.spawn("jobs.schedule", chores::schedules(core.clone(), stop.clone()));
        tasks.spawn("jobs.relay", chores::relay(core.clone(), stop.clone()));
        tasks.spawn("jobs.sweep", chores::sweep(core.clone(), stop.clone()));
        tasks.spawn("jobs.gauge", chores::gauge(core.clone(), stop.clone()));
        for &kind in core.kinds.keys() {
            let (ordinary, urgent) = claim::slots(core.kinds[kind].registered.limits.concurrency);
            for _ in 0..ordinary {
                tasks.spawn("jobs.slot", slot::ordinary(core.clone(), kind, stop.clone()));
            }
            if urgent {
                tasks.spawn("jobs.urgent", slot::urgent(core.clone(), kind, stop.clone()));
            }
        }
        tasks.spawn("jobs.drain", drain(core.clone(), stop));
        tasks.join().await
    }
}

impl Worker {
    fn start(self) -> Core {
        let Self { pool, bus, config, kinds, .. } = self;
        let kinds = kinds
            .into_iter()
            .map(|(name, registered)| {
                let kind = Kind {
                    registered,
                    tickets: bus.tickets(name),
                    claims: AtomicU64::new(0),
                    due: Notify::new(),
                    urgent: Notify::new(),
                    dispatch: AtomicBool::new(true),
                };
                (name, kind)
            })
            .collect();
        Core {
            pool,
            bus,
            config,
            id: Uuid::now_v7(),
            kinds,
            leases: Arc::default(),
            company: RwLock::new(()),
            suspects: Notify::new(),
            dispatch: Notify::new(),
            outbox: Notify::new(),
            drain: CancellationToken::new(),
        }
    }
}

impl Core {
    /// Waits for the database's answer as long as is configured.
    async fn within<T>(
        &self,
        answer: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        db::within(self.config.answer_timeout(), answer).await
    }

    fn kind_names(&self) -> Vec<String> {
        self.kinds.keys().map(|&kind| kind.to_owned()).collect()
    }

    async fn register_kinds(&self, service: &str) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO jobs.kind (kind, service) SELECT unnest($1::text[]), $2
             ON CONFLICT (kind) DO UPDATE SET service = excluded.service
             WHERE kind.service <> excluded.service",
        )
        .bind(self.kind_names())
        .bind(service)
        .execute(&self.pool)
        .await
        .map(drop)
    }
}

/// Asks running jobs to yield, and after a while to stop.
async fn drain(core: Arc<Core>, stop: Shutdown) -> anyhow::Result<()> {
    stop.cancelled().await;
    core.drain.cancel();
    tokio::select! {
        () = core.leases.none_left() => {}
        () = tokio::time::sleep(core.config.drain()) => core.leases.stop_all(StopReason::Drain),
    }
    Ok(())
}
