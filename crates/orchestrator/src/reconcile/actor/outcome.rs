//! What came of the steps: what is remembered of them, and when an operation has ended.

use std::collections::BTreeMap;

use std::time::Instant;

use chrono::Utc;

use super::super::execute::Done;
use super::super::refusal::Refusal;
use super::Actor;
use crate::db;
use crate::db::operation::Operation;
use crate::health::Health as StackHealth;
use crate::metrics;
use crate::observed::Observed;
use crate::operation::{self, Kind, Outcome};
use crate::plan::{Desired, Plan, Step, Wish};
use crate::probe::Snapshot;
use crate::reason::{Diagnosis, Reason, Retry};
use crate::status::Health;

/// A step that was refused so many times, over a minute, ends the operation; it is tried on.
const REFUSALS_MAX: u32 = 6;

/// Whether something of a plan is to be done before an operation can be said to have succeeded.
pub(super) fn is_open(operation: &Operation, desired: &Desired, plan: &Plan) -> bool {
    let service = desired.stack.services.get(&operation.service);
    plan.steps().any(|step| service.is_none_or(|it| step.serves(it)))
}

impl Actor {
    /// Processes that we are about to end did not fail.
    pub(super) async fn expect(
        &mut self,
        plan: &Plan,
        held: &[Step],
        probes: &BTreeMap<String, Snapshot>,
    ) {
        if !self.app.lease.may_change() {
            return;
        }
        for step in plan.steps().filter(|it| !held.contains(it)) {
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
    pub(super) async fn note(
        &mut self,
        desired: &Desired,
        observed: &Observed,
        plan: &Plan,
        done: &Done,
    ) {
        let mut refused = Vec::new();
        for refusal in done.refusals.iter().filter(|it| !it.transport) {
            let why = &refusal.diagnosis;
            self.told = format!("{} ({})", why.message, why.reason.code());
            // Nobody is charged with what somebody else removed meanwhile.
            let gone = why.reason == Reason::ContainerGone;
            match &refusal.step {
                // A start that was refused waits by its own rule.
                Step::Fill { service, id } | Step::Start { service, id } if !gone => {
                    if let Some(service) = desired.stack.services.get(service) {
                        let (now, random) = (Utc::now(), rand::random());
                        self.memory.refused(service, id, why.clone(), now, random);
                    }
                }
                step => {
                    refused.push(step.clone());
                    let needing = desired.stack.services.values().filter(|it| step.serves(it));
                    for service in needing.filter(|_| !gone) {
                        self.memory.obstructed(&service.name, Some(why.clone()), Utc::now());
                    }
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
        for step in &done.steps {
            match step {
                Step::Start { service, id } => {
                    let before = observed.containers.iter().find(|it| it.id == *id);
                    let again = before.is_some_and(|it| it.started_at.is_some());
                    self.memory.started(service, again);
                    if again {
                        metrics::restarted();
                    }
                }
                Step::RemoveNetwork { network, .. } => self.free(desired, network).await,
                _ => {}
            }
        }
        for service in desired.stack.services.values() {
            let refused = done.refusals.iter().any(|it| it.step.serves(service));
            if !refused && done.steps.iter().any(|it| it.serves(service)) {
                self.memory.obstructed(&service.name, None, Utc::now());
            }
        }
        let tried = |step: &Step| {
            done.steps.contains(step) || done.refusals.iter().any(|it| it.step == *step)
        };
        for step in plan.steps().filter(|it| !tried(it)) {
            if let Step::Stop { service, id, .. } = step {
                self.memory.spared(service, id);
            }
        }
        for step in self.patience.learn(plan, &done.steps, &refused, Instant::now()) {
            let message =
                format!("the Docker daemon says that it did this, and it has no effect: {step}");
            tracing::warn!(project.id = %self.id, "{message}");
            let why = Diagnosis::new(Reason::DaemonFailed, message);
            for service in desired.stack.services.values().filter(|it| step.serves(it)) {
                self.memory.obstructed(&service.name, Some(why.clone()), Utc::now());
            }
        }
    }

    /// Others may have the addresses of a network that is not wanted any more.
    async fn free(&mut self, desired: &Desired, network: &str) {
        let wanted = desired.wish == Wish::Running && desired.stack.networks.contains_key(network);
        if wanted {
            return;
        }
        let forgotten = db::subnet::forget(&self.app.pool, self.id, network);
        if let Err(error) = db::within(forgotten).await {
            tracing::warn!(error = %error, network, "a subnet cannot be given back now");
        }
        self.known.subnets.remove(network);
    }

    /// What a person must mend ends the operation at once, and what does not pass for a minute.
    pub(super) async fn fail(
        &self,
        operation: Option<&Operation>,
        desired: &Desired,
        refusals: &[Refusal],
    ) {
        let Some(operation) = operation.filter(|it| self.is_of_this_wish(it)) else { return };
        let service = desired.stack.services.get(&operation.service);
        let fatal = refusals.iter().find(|it| {
            let never = it.diagnosis.reason.retry() == Retry::Never;
            let lasts = self.patience.refusals(&it.step) >= REFUSALS_MAX;
            (never || lasts) && service.is_none_or(|service| it.step.serves(service))
        });
        if let Some(Refusal { diagnosis, .. }) = fatal {
            let Diagnosis { reason, message, hint } = diagnosis.clone();
            let reason = reason.code().to_owned();
            self.finish(operation, &Outcome::Failed { reason, message, hint }).await;
        }
    }

    /// Ends the operation when the stack is as it was asked to be, or does not get there.
    pub(super) async fn settle(
        &self,
        operation: Option<&Operation>,
        health: &StackHealth,
        observed: &Observed,
    ) {
        let Some(operation) = operation.filter(|it| self.is_of_this_wish(it)) else { return };
        let kind = Kind::parse(&operation.kind);
        if let Some(outcome) = operation::outcome(kind, &operation.service, health, observed) {
            self.finish(operation, &outcome).await;
        }
    }

    /// One that was asked after we read the wish: this look says nothing about it.
    fn is_of_this_wish(&self, operation: &Operation) -> bool {
        self.row.as_ref().is_some_and(|it| it.version >= operation.version)
    }

    /// Ends an operation that takes too long, whatever is in its way. Answers one that goes on.
    pub(super) async fn expire(&mut self, operation: Option<Operation>) -> Option<Operation> {
        let Some(operation) = operation else {
            self.told.clear();
            return None;
        };
        // The time in which nobody worked on it is not its own.
        let since = operation.started_at.max(self.began);
        let told = self.project.health.borrow().as_ref().map(|it| it.reason.clone());
        let told = told.filter(|it| !it.is_empty()).unwrap_or_else(|| self.told.clone());
        match operation::overdue(since, Utc::now(), &told) {
            Some(outcome) if self.app.lease.may_start() => {
                self.finish(&operation, &outcome).await;
                None
            }
            _ => Some(operation),
        }
    }

    pub(super) async fn finish(&self, operation: &Operation, outcome: &Outcome) {
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
}
