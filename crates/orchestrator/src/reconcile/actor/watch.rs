//! What a look at a stack tells: has its processes asked, and says how it does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::Utc;

use super::super::gate;
use super::Actor;
use crate::health::{self, Health as StackHealth};
use crate::observed::{Container, Observed, State};
use crate::plan::{Desired, Judged, Plan, Wish, current};
use crate::probe::{Redact, Snapshot, Target};
use crate::scan::Gate;
use crate::spec::{Probes, Stack};
use crate::status::Health;

impl Actor {
    /// Notices whom the kernel ended for memory beside the services' own processes.
    pub(super) fn notice_kills(&mut self, observed: &Observed) {
        for container in &observed.containers {
            let record = self.app.usage.record(self.id, &container.service);
            let kills = record.map_or(0, |it| it.oom_kills);
            self.memory.killed(container, kills, Utc::now());
        }
    }

    /// Has measured what each service uses.
    pub(super) fn measure(&self, stack: &Stack, observed: &Observed) {
        for name in stack.services.keys() {
            let running = observed.of(name).find(|it| it.state == State::Running);
            self.app.usage.watch(self.id, name, running.map_or("", |it| &it.id));
        }
        self.app.usage.retain(self.id, |it| stack.services.contains_key(it));
    }

    /// Has every process asked that runs, and answers what is known, by service.
    pub(super) fn watch(
        &mut self,
        desired: &Desired,
        observed: &Observed,
    ) -> BTreeMap<String, Snapshot> {
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
    pub(super) fn gates(
        &mut self,
        desired: &Desired,
        observed: &Observed,
    ) -> BTreeMap<String, Gate> {
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

    pub(super) fn judged(
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

    pub(super) fn publish(
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

    pub(super) fn publish_unknown(&self, why: &str) {
        self.project.health.send_modify(|last| {
            let unknown = match last {
                Some(health) => health::unknown(health, why),
                None => health::unseen(self.id, why, Utc::now()),
            };
            *last = Some(Arc::new(unknown));
        });
    }
}
