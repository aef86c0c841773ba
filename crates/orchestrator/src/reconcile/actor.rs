//! One project's loop: look, decide, act.

mod outcome;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use chassis::Shutdown;
use chrono::{DateTime, Utc};
use proto::ProjectId;
use tokio::time::Instant;

use super::desire::{self, Known};
use super::execute::{Done, Executor};
use super::failures::Failures;
use super::patience::Patience;
use super::secrets::Secrets;
use crate::app::{App, Project};
use crate::db;
use crate::db::operation::Operation;
use crate::db::stack::Stack as Row;
use crate::docker;
use crate::memory::{Memory, Stored};
use crate::observe::observe;
use crate::observed::Observed;
use crate::plan::{Desired, Plan, Wish, plan};
use crate::probe::Probers;
use crate::spec::Stack;
use outcome::is_open;

/// Events that come within this time are one.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// While the daemon does not answer; asking it costs nothing, as the breaker answers.
const UNREACHABLE_INTERVAL: Duration = Duration::from_secs(1);

/// Looks in a row that each found something to do; after that it is taken slowly.
const BUSY_MAX: u32 = 100;

pub(super) struct Actor {
    app: Arc<App>,
    id: ProjectId,
    project: Arc<Project>,
    memory: Memory,
    row: Option<Row>,
    stack: Option<(i64, Stack)>,
    known: Known,
    secrets: Secrets,
    probers: Probers,
    failures: Failures,
    /// Since when this stack is looked after.
    began: DateTime<Utc>,
    /// What was last in the way of the operation.
    told: String,
    /// Steps that are tried again later.
    patience: Patience,
    /// Whether we are the one that acts; the others only look on.
    acts: bool,
    /// The database did not answer when it was last asked.
    away: bool,
    /// What of the memory is in the database; `None`: not known.
    saved: Option<Stored>,
    /// Plans in a row of which something was done.
    busy: u32,
}

/// What follows a look.
enum Next {
    /// Another look at once: something was done.
    Again,
    /// A look after this time, or when something happens.
    Wait(Duration),
    /// A look after this time, which is short, whatever happens.
    Hold(Duration),
    /// Nothing is left of the stack.
    End,
}

impl Actor {
    pub(super) fn new(app: Arc<App>, id: ProjectId) -> Self {
        Self {
            project: app.project(id),
            app,
            id,
            memory: Memory::default(),
            row: None,
            stack: None,
            known: Known::default(),
            secrets: Secrets::default(),
            probers: Probers::default(),
            failures: Failures::default(),
            began: Utc::now(),
            told: String::new(),
            patience: Patience::default(),
            acts: false,
            away: false,
            saved: None,
            busy: 0,
        }
    }

    pub(super) async fn run(mut self, shutdown: Shutdown) {
        let turned = self.probers.changed();
        loop {
            let looked = Instant::now();
            let next = tokio::select! {
                next = self.look() => next,
                // A step that was begun is repeated by whoever comes next.
                () = shutdown.cancelled() => return self.failures.finish().await,
            };
            let (pause, deaf) = match next {
                Next::Again => continue,
                Next::Wait(pause) => (pause, false),
                Next::Hold(pause) => (pause, true),
                Next::End => {
                    self.failures.finish().await;
                    self.app.usage.retain(self.id, |_| false);
                    let (app, id) = (self.app.clone(), self.id);
                    drop(self);
                    return app.forget(id);
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return self.failures.finish().await,
                () = self.project.changed.notified() => {}
                () = tokio::time::sleep(pause) => {}
                () = turned.notified(), if !deaf => {}
                () = self.project.happened.notified(), if !deaf => {
                    tokio::time::sleep_until(looked + DEBOUNCE).await;
                }
            }
        }
    }

    async fn look(&mut self) -> Next {
        match self.round().await {
            Ok(next) => next,
            Err(error) => {
                let told = format!("{error:#}");
                tracing::warn!(project.id = %self.id, error = told, "a stack cannot be kept now");
                if error.downcast_ref().is_some_and(docker::Error::is_transport) {
                    self.memory.lost(Utc::now());
                }
                self.publish_unknown(&told);
                self.told = told;
                Next::Wait(UNREACHABLE_INTERVAL)
            }
        }
    }

    async fn round(&mut self) -> anyhow::Result<Next> {
        let operation = self.read().await;
        let Some(row) = self.row.clone() else {
            // Not to know what is wished does not mean that nothing is.
            return Ok(if self.away { Next::Wait(UNREACHABLE_INTERVAL) } else { Next::End });
        };
        let operation = self.expire(operation).await;
        let stack = self.stack(&row)?;
        let naming = self.app.naming(self.id);
        let observed = observe(&self.app.docker, &naming).await?;
        let vault = self.secrets.learn(&self.app, &row).await?;
        self.memory.found(Utc::now());
        for it in observed.containers.iter().filter(|it| !it.is_helper()) {
            self.app.logs.attach(self.id, &it.service, &it.id, &self.app.docker);
        }
        let user = self.app.config.user(row.number);
        self.learn(&row, &stack).await?;
        self.measure(&stack, &observed);
        let desired = desire::desired(&row, &stack, &self.known, &vault.versions(), user);
        self.take_over().await?;
        if self.acts {
            self.memory.look(&desired, &observed, rand::random());
            self.notice_kills(&observed);
        }
        let gates = self.gates(&desired, &observed);
        if self.acts {
            self.tell(operation.as_ref()).await;
        }
        let probes = self.watch(&desired, &observed);
        let judged = self.judged(&probes, &gates);
        let plan = plan(&desired, &observed, &judged, Utc::now());
        self.memory.clear(&desired, &plan);
        let health = self.publish(&desired, &observed, &plan, &probes, &gates);
        if !self.acts || operation.as_ref().is_some_and(|it| !is_open(it, &desired, &plan)) {
            self.settle(operation.as_ref(), &health, &observed).await;
        }
        if plan.is_empty() || !self.acts {
            return Ok(self.idle(&desired, &observed, &plan, operation.is_none()));
        }
        let held = self.patience.held(std::time::Instant::now());
        self.expect(&plan, &held, &probes).await;
        let operation_id = operation.as_ref().map(|it| it.id);
        let executor = Executor {
            app: &self.app,
            naming,
            desired: &desired,
            observed: &observed,
            vault: &vault,
            redactor: &self.app.logs.redactor(self.id).get(),
            user,
            operation: operation_id,
        };
        let done = executor.execute(&plan, &held).await;
        self.note(&desired, &observed, &plan, &done).await;
        self.tell(operation.as_ref()).await;
        self.fail(operation.as_ref(), &desired, &done.refusals).await;
        Ok(self.after(&plan, &done))
    }

    /// The wish and the operation, or what was known of the wish when the database is away.
    async fn read(&mut self) -> Option<Operation> {
        let row = db::within(db::stack::get(&self.app.pool, self.id)).await;
        self.away = row.is_err();
        match row {
            Ok(row) => self.row = row,
            Err(error) => {
                tracing::warn!(error = %error, "the wish cannot be read; the last one counts");
                return None;
            }
        }
        db::within(db::operation::running(&self.app.pool, self.id)).await.ok().flatten()
    }

    fn stack(&mut self, row: &Row) -> anyhow::Result<Stack> {
        match &self.stack {
            Some((version, stack)) if *version == row.version => Ok(stack.clone()),
            _ => {
                let stack = desire::stack(row)?;
                self.stack = Some((row.version, stack.clone()));
                self.known = Known::default();
                // Its owner may have mended what was in the way.
                self.patience.clear();
                Ok(stack)
            }
        }
    }

    /// Images and subnets, unless they are known or nobody needs them.
    async fn learn(&mut self, row: &Row, stack: &Stack) -> anyhow::Result<()> {
        if self.known.images.len() < stack.services.len() {
            self.known.images = desire::images(&self.app, row, stack).await?;
        }
        let missing = stack.networks.keys().any(|it| !self.known.subnets.contains_key(it));
        if missing && row.wish() == Wish::Running {
            match desire::subnets(&self.app, row, stack).await {
                Ok(subnets) => self.known.subnets = subnets,
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(project.id = %self.id, error, "no subnets can be had now");
                }
            }
        }
        Ok(())
    }

    /// Notices whether we act now. Whoever begins to act, or looks on, knows what was remembered by
    /// whoever acted before.
    async fn take_over(&mut self) -> anyhow::Result<()> {
        let acts = self.app.lease.may_start();
        if acts && self.acts {
            return Ok(());
        }
        let stored = match db::within(db::memory::load(&self.app.pool, self.id)).await {
            Ok(stored) => stored,
            Err(error) if acts => return Err(error.into()),
            // Whoever only looks on can do so with what it knew before.
            Err(_) => {
                self.acts = false;
                return Ok(());
            }
        };
        self.memory = stored.clone().unwrap_or_default().into();
        (self.acts, self.saved) = (acts, stored);
        Ok(())
    }

    /// Lets what is remembered outlive us.
    async fn remember(&mut self) {
        let stored = Stored::from(&self.memory);
        if self.saved.as_ref() == Some(&stored) || self.away {
            return;
        }
        match db::within(db::memory::save(&self.app.pool, self.id, &stored)).await {
            Ok(()) => self.saved = Some(stored),
            Err(error) => tracing::warn!(error = %error, "what happened cannot be noted now"),
        }
    }

    /// Has what failed explained, stored and logged, and learns what was explained since.
    async fn tell(&mut self, operation: Option<&Operation>) {
        for (incident, told) in self.failures.explained() {
            self.memory.explain(&incident, &told);
        }
        let incidents = self.memory.take_incidents();
        self.failures.record(&self.app, self.id, operation, incidents);
        self.remember().await;
    }

    /// Nothing is to be done now.
    fn idle(&mut self, desired: &Desired, observed: &Observed, plan: &Plan, settled: bool) -> Next {
        self.busy = 0;
        self.patience.clear();
        let removed = matches!(desired.wish, Wish::Removed { .. });
        if removed && settled && observed.containers.is_empty() && observed.networks.is_empty() {
            return Next::End;
        }
        let unsettled = (!settled).then_some(UNREACHABLE_INTERVAL);
        Next::Wait(self.pause(plan).min(unsettled.unwrap_or(Duration::MAX)))
    }

    /// There was something to do: it was done, or tried, or waits.
    fn after(&mut self, plan: &Plan, done: &Done) -> Next {
        if done.refusals.iter().any(|it| it.transport) {
            return Next::Wait(UNREACHABLE_INTERVAL);
        }
        if !done.steps.is_empty() || !done.refusals.is_empty() {
            self.busy += 1;
            return if self.busy > BUSY_MAX { Next::Hold(DEBOUNCE) } else { Next::Again };
        }
        self.busy = 0;
        let now = std::time::Instant::now();
        let due = self.patience.due(now).map_or(UNREACHABLE_INTERVAL, |at| at - now);
        Next::Wait(self.pause(plan).min(due))
    }

    /// How long nothing needs to be looked at when nothing happens.
    fn pause(&self, plan: &Plan) -> Duration {
        let resync = self.app.config.resync().mul_f64(0.8 + 0.4 * rand::random::<f64>());
        let wake_at = plan.wake_at.into_iter().chain(self.memory.kills_known_at(Utc::now())).min();
        let due = wake_at.map(|at| (at - Utc::now()).to_std().unwrap_or_default());
        due.unwrap_or(resync).min(resync)
    }
}
