//! What came of the steps: what is remembered of them, and when an operation has ended.

use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};

use super::super::refusal::Refusal;
use super::Actor;
use crate::db;
use crate::db::operation::Operation;
use crate::health::Health as StackHealth;
use crate::metrics;
use crate::observed::Observed;
use crate::operation::{self, Kind, Outcome};
use crate::plan::{Desired, Plan, Step};
use crate::probe::Snapshot;
use crate::reason::{Diagnosis, Reason, Retry};
use crate::status::Health;

/// An operation that does not end is ended.
const OPERATION_MAX: TimeDelta = TimeDelta::minutes(30);

impl Actor {
    /// Processes that we are about to end did not fail.
    pub(super) async fn expect(&mut self, plan: &Plan, probes: &BTreeMap<String, Snapshot>) {
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
    pub(super) async fn note(
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
                    Step::Fill { id, .. } | Step::Start { id, .. } => {
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
            if let Step::Start { service, id } = step
                && !stood
            {
                let again = observed.of(service).any(|it| it.id == *id && it.started_at.is_some());
                self.memory.started(service, again);
                if again {
                    metrics::restarted();
                }
            }
        }
    }

    /// What a person must mend ends the operation at once.
    pub(super) async fn fail(&self, operation: Option<&Operation>, refusals: &[Refusal]) {
        let Some(operation) = operation else { return };
        let fatal = refusals.iter().find(|it| it.diagnosis.reason.retry() == Retry::Never);
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
