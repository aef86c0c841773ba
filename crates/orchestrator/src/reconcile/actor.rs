//! One project's loop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chassis::Shutdown;
use chrono::Utc;
use proto::ProjectId;
use tokio::time::Instant;

use super::desire::{self, Known};
use super::execute::Executor;
use super::failures::Failures;
use super::gate;
use super::refusal::Refusal;
use crate::app::{App, Project};
use crate::db;
use crate::db::operation::Operation;
use crate::db::stack::Stack as Row;
use crate::health::{self, Health as StackHealth};
use crate::memory::{Memory, Stored};
use crate::metrics;
use crate::observe::observe;
use crate::observed::{Container, Observed, State};
use crate::operation::{self, Kind, Outcome};
use crate::plan::{Desired, Judged, Plan, Step, Wish, current, plan};
use crate::probe::{Probers, Redact, Snapshot, Target};
use crate::reason::{Diagnosis, Reason, Retry};
use crate::scan::Gate;
use crate::spec::{Probes, Stack};
use crate::status::Health;

/// Events that come within this time are one.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// While the daemon does not answer; asking it costs nothing, as the breaker answers.
const UNREACHABLE_INTERVAL: Duration = Duration::from_secs(1);

/// While something that was refused is tried again: 1, 2, 4 .. 60 s.
const REFUSED_MAX: Duration = Duration::from_secs(60);

/// Looks in a row that each found something to do; after that it is taken slowly.
const BUSY_MAX: u32 = 100;

/// An operation that does not end is ended.
const OPERATION_MAX: chrono::TimeDelta = chrono::TimeDelta::minutes(30);

pub(super) struct Actor {
    app: Arc<App>,
    id: ProjectId,
    project: Arc<Project>,
    memory: Memory,
    row: Option<Row>,
    stack: Option<(i64, Stack)>,
    known: Known,
    probers: Probers,
    failures: Failures,
    /// Whether we are the one that acts; the others only look on.
    acts: bool,
    /// The database did not answer when it was last asked.
    away: bool,
    /// What of the memory is in the database; `None`: not known.
    saved: Option<Stored>,
    /// Plans in a row that had something to do.
    busy: u32,
    /// Plans in a row of which something was refused.
    refused: u32,
}

/// What follows a look.
enum Next {
    /// Another look at once: something was done.
    Again,
    /// A look after this time, or when something happens.
    Wait(Duration),
    /// A look after this time, whatever happens, unless the owner wants something else.
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
            probers: Probers::default(),
            failures: Failures::default(),
            acts: false,
            away: false,
            saved: None,
            busy: 0,
            refused: 0,
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
                    return self.app.forget(self.id);
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
                self.publish_unknown(&told);
                Next::Wait(UNREACHABLE_INTERVAL)
            }
        }
    }

    async fn round(&mut self) -> anyhow::Result<Next> {
        let operation = self.read().await;
        let Some(row) = self.row.clone() else { return Ok(Next::End) };
        let stack = self.stack(&row)?;
        let naming = self.app.naming(self.id);
        let observed = observe(&self.app.docker, &naming).await?;
        for it in &observed.containers {
            self.app.logs.attach(self.id, &it.service, &it.id, &self.app.docker);
        }
        let user = self.app.config.user(row.number);
        self.learn(&row, &stack).await?;
        self.measure(&stack, &observed);
        let desired = desire::desired(&row, &stack, &self.known, user);
        self.take_over().await?;
        if self.acts {
            self.memory.look(&desired, &observed, rand::random());
        }
        let gates = self.gates(&desired, &observed);
        if self.acts {
            self.tell(operation.as_ref()).await;
        }
        let probes = self.watch(&desired, &observed);
        let judged = self.judged(&probes, &gates);
        let plan = plan(&desired, &observed, &judged, Utc::now());
        let health = self.publish(&desired, &observed, &plan, &probes, &gates);
        if plan.is_empty() || !self.acts {
            self.settle(operation.as_ref(), &health, &observed).await;
            return Ok(self.idle(&desired, &observed, &plan, operation.is_none()));
        }
        self.expect(&plan, &probes).await;
        let operation_id = operation.as_ref().map(|it| it.id);
        let executor = Executor {
            app: &self.app,
            naming,
            desired: &desired,
            observed: &observed,
            user,
            operation: operation_id,
        };
        let refusals = executor.execute(&plan).await;
        self.note(&desired, &observed, &plan, &refusals).await;
        self.tell(operation.as_ref()).await;
        self.fail(operation.as_ref(), &refusals).await;
        Ok(self.after(&refusals))
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

    /// Has measured what each service uses.
    fn measure(&self, stack: &Stack, observed: &Observed) {
        for name in stack.services.keys() {
            let running = observed.of(name).find(|it| it.state == State::Running);
            self.app.usage.watch(self.id, name, running.map_or("", |it| &it.id));
        }
        self.app.usage.retain(self.id, |it| stack.services.contains_key(it));
    }

    /// Has every process asked that runs, and answers what is known, by service.
    fn watch(&mut self, desired: &Desired, observed: &Observed) -> BTreeMap<String, Snapshot> {
        let mut probes = BTreeMap::new();
        let mut asked = BTreeSet::new();
        for service in desired.stack.services.values() {
            let pinned = desired.pinned.get(&service.name);
            let container = pinned.and_then(|it| current(observed, &service.name, &it.hash));
            let Some(container) = container.filter(|it| it.state == State::Running) else {
                continue;
            };
            let (Some(started_at), Wish::Running) = (container.started_at, desired.wish) else {
                continue;
            };
            if service.probes == Probes::default() || !self.acts {
                continue;
            }
            let target = Target {
                container: container.id.clone(),
                address: container.address(),
                docker: self.app.docker.clone(),
            };
            let secrets = self.app.logs.redactor(self.id);
            let redact: Redact = Arc::new(move |text: &str| secrets.get().text(text));
            self.probers.follow(target, &service.probes, started_at, redact);
            asked.insert(container.id.as_str());
            if let Some(snapshot) = self.probers.snapshot(&container.id) {
                self.memory.probed(&service.name, snapshot.ready_since);
                probes.insert(service.name.clone(), snapshot);
            }
        }
        self.probers.retain(&asked);
        self.failures.learn(&probes);
        probes
    }

    /// What the scan policy says of each service.
    fn gates(&mut self, desired: &Desired, observed: &Observed) -> BTreeMap<String, Gate> {
        if !self.acts || desired.wish != Wish::Running {
            return BTreeMap::new();
        }
        let gates = gate::gates(&self.app, &desired.stack, &self.known.images);
        for name in desired.stack.services.keys() {
            let up = observed.of(name).any(Container::is_up);
            let closed = match gates.get(name) {
                Some(Gate::Closed(why)) if !up => Some(why.clone()),
                _ => None,
            };
            self.memory.held(name, closed, Utc::now());
        }
        gates
    }

    fn judged(
        &self,
        probes: &BTreeMap<String, Snapshot>,
        gates: &BTreeMap<String, Gate>,
    ) -> Judged {
        let mut judged = self.memory.judged();
        let held = gates.iter().filter(|it| it.1.holds());
        judged.held = held.map(|it| it.0.clone()).collect();
        for (name, snapshot) in probes {
            match snapshot.health {
                Health::Ready => judged.ready.insert(name.clone()),
                Health::Unhealthy | Health::TimedOut => judged.unhealthy.insert(name.clone()),
                Health::Starting | Health::Unready | Health::Unknown => false,
            };
        }
        judged
    }

    fn publish(
        &self,
        desired: &Desired,
        observed: &Observed,
        plan: &Plan,
        probes: &BTreeMap<String, Snapshot>,
        gates: &BTreeMap<String, Gate>,
    ) -> StackHealth {
        let memory = &self.memory;
        let stands_by = !self.acts;
        let known = health::Known { desired, observed, plan, memory, probes, gates, stands_by };
        let health = health::health(&known, Utc::now());
        self.project.health.send_if_modified(|last| {
            // The time alone is no news.
            let news = last.as_ref().is_none_or(|it| {
                StackHealth { observed_at: health.observed_at, ..StackHealth::clone(it) } != health
            });
            *last = Some(Arc::new(health.clone()));
            news
        });
        health
    }

    fn publish_unknown(&self, why: &str) {
        self.project.health.send_modify(|last| {
            if let Some(health) = last {
                *health = Arc::new(health::unknown(health, why));
            }
        });
    }

    /// Notices whether we act now. Whoever begins to act, or looks on, knows what was remembered by
    /// whoever acted before.
    async fn take_over(&mut self) -> anyhow::Result<()> {
        let acts = self.app.lease.may_start();
        if acts && self.acts {
            return Ok(());
        }
        let stored = db::within(db::memory::load(&self.app.pool, self.id)).await?;
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

    /// Processes that we are about to end did not fail.
    async fn expect(&mut self, plan: &Plan, probes: &BTreeMap<String, Snapshot>) {
        for step in plan.steps() {
            if let Step::Stop { service, id, .. } = step {
                let unwell = probes
                    .get(service)
                    .filter(|it| matches!(it.health, Health::Unhealthy | Health::TimedOut));
                let why = unwell.map(|it| {
                    let told = Diagnosis::new(Reason::Unhealthy, Reason::Unhealthy.text());
                    it.diagnosis.clone().unwrap_or(told)
                });
                self.memory.stopping(service, id, why);
                self.probers.leave(id);
            }
        }
        self.remember().await;
    }

    /// Remembers what was done and what was refused.
    async fn note(
        &mut self,
        desired: &Desired,
        observed: &Observed,
        plan: &Plan,
        refusals: &[Refusal],
    ) {
        for refusal in refusals.iter().filter(|it| !it.transport) {
            let service = desired.stack.services.get(refusal.step.service());
            if let Some(service) = service {
                let why = refusal.diagnosis.clone();
                match &refusal.step {
                    Step::Start { id, .. } => {
                        self.memory.refused(service, id, why, Utc::now(), rand::random());
                    }
                    _ => self.memory.obstructed(&service.name, Some(why), Utc::now()),
                }
            }
            if let Step::CreateNetwork { network, .. } = &refusal.step
                && refusal.diagnosis.reason == Reason::NetworkPoolExhausted
            {
                // Somebody else took the addresses; others are chosen the next time.
                let forgotten = db::subnet::forget(&self.app.pool, self.id, network);
                db::within(forgotten).await.ok();
                self.known.subnets.clear();
            }
        }
        let refused = |step: &Step| refusals.iter().any(|it| it.step == *step);
        for step in plan.steps().filter(|it| !refused(it)) {
            let stood = refusals.iter().any(|it| it.step.service() == step.service());
            if !stood && !step.service().is_empty() {
                self.memory.obstructed(step.service(), None, Utc::now());
            }
            if let Step::Start { service, id } = step {
                let again = observed.of(service).any(|it| it.id == *id && it.started_at.is_some());
                self.memory.started(service, again);
                if again {
                    metrics::restarted();
                }
            }
        }
    }

    /// What a person must mend ends the operation at once.
    async fn fail(&self, operation: Option<&Operation>, refusals: &[Refusal]) {
        let Some(operation) = operation else { return };
        let fatal = refusals.iter().find(|it| it.diagnosis.reason.retry() == Retry::Never);
        if let Some(Refusal { diagnosis, .. }) = fatal {
            let Diagnosis { reason, message, hint } = diagnosis.clone();
            let reason = reason.code().to_owned();
            self.finish(operation, &Outcome::Failed { reason, message, hint }).await;
        }
    }

    /// Ends the operation when the stack is as it was asked to be, or does not get there.
    async fn settle(
        &self,
        operation: Option<&Operation>,
        health: &StackHealth,
        observed: &Observed,
    ) {
        let Some(operation) = operation else { return };
        // Asked after we read the wish: this look says nothing about it.
        if self.row.as_ref().is_none_or(|it| it.version < operation.version) {
            return;
        }
        let kind = Kind::parse(&operation.kind);
        let outcome = operation::outcome(kind, &operation.service, health, observed);
        let late = Utc::now() - operation.started_at > OPERATION_MAX;
        let timed_out = || Outcome::Failed {
            reason: Reason::StartTimeout.code().to_owned(),
            message: format!("not done within 30 minutes; {}", health.reason),
            hint: "look at the service that it waits for".to_owned(),
        };
        if let Some(outcome) = outcome.or_else(|| late.then(timed_out)) {
            self.finish(operation, &outcome).await;
        }
    }

    async fn finish(&self, operation: &Operation, outcome: &Outcome) {
        if !self.app.lease.may_start() {
            return;
        }
        let finished = db::operation::finish(&self.app.pool, operation.id, outcome);
        match db::within(finished).await {
            Ok(()) => {
                let took = (Utc::now() - operation.started_at).to_std().unwrap_or_default();
                let kind = Kind::parse(&operation.kind).as_str();
                metrics::operation(kind, *outcome == Outcome::Succeeded, took);
            }
            Err(error) => {
                tracing::warn!(error = %error, "the end of an operation cannot be noted now");
            }
        }
        self.app.operations.send_modify(|it| *it += 1);
    }

    /// Nothing is to be done now.
    fn idle(&mut self, desired: &Desired, observed: &Observed, plan: &Plan, settled: bool) -> Next {
        (self.busy, self.refused) = (0, 0);
        let removed = matches!(desired.wish, Wish::Removed { .. });
        if removed && settled && observed.containers.is_empty() && observed.networks.is_empty() {
            return Next::End;
        }
        let resync = self.app.config.resync().mul_f64(0.8 + 0.4 * rand::random::<f64>());
        let until = plan.wake_at.and_then(|at| (at - Utc::now()).to_std().ok());
        let due = plan.wake_at.map(|_| until.unwrap_or_default());
        let unsettled = (!settled).then_some(UNREACHABLE_INTERVAL);
        Next::Wait([Some(resync), due, unsettled].into_iter().flatten().min().unwrap_or(resync))
    }

    /// Something was done, or tried.
    fn after(&mut self, refusals: &[Refusal]) -> Next {
        self.busy += 1;
        if refusals.is_empty() {
            self.refused = 0;
            return if self.busy > BUSY_MAX { Next::Hold(DEBOUNCE) } else { Next::Again };
        }
        if refusals.iter().any(|it| it.transport) {
            return Next::Wait(UNREACHABLE_INTERVAL);
        }
        // A start that was refused waits by its own rule; everything else waits here.
        if refusals.iter().all(|it| matches!(it.step, Step::Start { .. })) {
            return Next::Again;
        }
        self.refused += 1;
        let doublings = (self.refused - 1).min(6);
        Next::Hold((Duration::from_secs(1) * (1 << doublings)).min(REFUSED_MAX))
    }
}
