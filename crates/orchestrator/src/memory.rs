//! What happened to services, and when each may be started again. Pure.
//!
//! A process that its owner or we ended did not fail, nor did one that ended while the daemon was
//! away, which takes its containers with it; any other end is judged once, by [`restart::decide`].

mod child;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::observed::{Container, Observed};
use crate::plan::{self, Desired, Judged, MayStart, Plan};
use crate::postmortem::Event;
use crate::reason::{Diagnosis, Exit, Retry};
use crate::restart::{self, Decision, End, History};
use crate::spec::Service;

pub use stored::Stored;

/// What is remembered of all services.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    services: BTreeMap<String, Remembered>,
    wished_at: Option<DateTime<Utc>>,
    incidents: Vec<Incident>,
    /// When the daemon was last seen.
    seen_at: Option<DateTime<Utc>>,
    /// Since when it is away.
    away_since: Option<DateTime<Utc>>,
    /// From when to when it was away last.
    outage: Option<Outage>,
}

/// An end or a refusal that counts as a failure, to be explained with what else is at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Whose.
    pub service: String,
    /// In which container; empty when it could not be made.
    pub container: String,
    /// When the process began; `None` when none did.
    pub began: Option<DateTime<Utc>>,
    /// When.
    pub at: DateTime<Utc>,
    /// What happened.
    pub event: Event,
    /// Counts the ends in a row, from 1; 0 when none is charged.
    pub attempt: u32,
}

type Outage = (DateTime<Utc>, DateTime<Utc>);

/// What is remembered of one service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Remembered {
    /// Its ends.
    pub history: History,
    /// It ended too often, or for a reason that does not pass.
    pub failed: bool,
    /// Why it ended, or could not start.
    pub diagnosis: Option<Diagnosis>,
    /// How often it was started again.
    pub restarts: u32,
    /// Why its container cannot be made or changed now.
    pub obstacle: Option<Diagnosis>,
    /// Why its image may not be started.
    held: Option<Diagnosis>,
    kills: child::Kills,
    /// A process that follows recent ends is trusted from then on.
    pub settles_at: Option<DateTime<Utc>>,
    may_start: Option<MayStart>,
    /// It ended as its policy has it, and is not started again.
    pub left: bool,
    /// Of a service with probes: since when they said that its process was ready.
    probed: Option<Option<DateTime<Utc>>>,
    judged: Option<Ending>,
    stopped: Option<(String, Option<Diagnosis>)>,
    restart_after: Option<DateTime<Utc>>,
    /// Its last end was the daemon's: the start that follows counts for nothing.
    forgiven: bool,
}

/// What a service's owner asked for last.
#[derive(Clone, Copy)]
struct Asked {
    /// Something of the stack; what had ended before did not fail.
    at: DateTime<Utc>,
    /// A new process instead of any that started before.
    again: Option<DateTime<Utc>>,
}

/// Names one end of one process.
type Ending = (String, Option<DateTime<Utc>>);

static NOTHING: Remembered = Remembered {
    history: History { ends: 0, same: 0, reason: None, failed: false, restarts: Vec::new() },
    failed: false,
    diagnosis: None,
    restarts: 0,
    obstacle: None,
    held: None,
    kills: child::Kills::NONE,
    settles_at: None,
    may_start: None,
    left: false,
    probed: None,
    judged: None,
    stopped: None,
    restart_after: None,
    forgiven: false,
};

impl Memory {
    /// What is remembered of a service.
    #[must_use]
    pub fn of(&self, service: &str) -> &Remembered {
        self.services.get(service).unwrap_or(&NOTHING)
    }

    /// The daemon does not answer.
    pub fn lost(&mut self, now: DateTime<Utc>) {
        self.away_since = self.away_since.or(self.seen_at).or(Some(now));
    }

    /// The daemon answers.
    pub fn found(&mut self, now: DateTime<Utc>) {
        self.outage = self.away_since.take().map(|since| (since, now)).or(self.outage);
        self.seen_at = Some(now);
    }

    /// Looks for processes that have ended since the last look. `random` is drawn from 0 to 1.
    pub fn look(&mut self, desired: &Desired, observed: &Observed, random: f64) {
        self.forgive(desired);
        for service in desired.stack.services.values() {
            let Some(pinned) = desired.pinned.get(&service.name) else { continue };
            let Some(container) = plan::current(observed, &service.name, &pinned.hash) else {
                continue;
            };
            let remembered = self.services.entry(service.name.clone()).or_default();
            if container.is_up() {
                (remembered.may_start, remembered.left) = (None, false);
                let started_at = container.started_at;
                let settles_at = |it| restart::settles_at(&remembered.history, it);
                remembered.settles_at = started_at.and_then(settles_at);
            } else if container.has_ended() {
                let asked = Asked { at: desired.wished_at, again: pinned.restart_after };
                let ended = remembered.ended(service, container, asked, self.outage, random);
                self.incidents.extend(ended);
            }
        }
    }

    /// A new wish, or a restart by hand, begins a new page.
    fn forgive(&mut self, desired: &Desired) {
        if self.wished_at.replace(desired.wished_at) != Some(desired.wished_at) {
            self.services.values_mut().for_each(Remembered::forgive);
        }
        self.services.retain(|name, _| desired.stack.services.contains_key(name));
        for (name, pinned) in &desired.pinned {
            let remembered = self.services.entry(name.clone()).or_default();
            if remembered.restart_after != pinned.restart_after {
                let restarts = remembered.restarts;
                remembered.forgive();
                remembered.restarts = restarts;
                remembered.restart_after = pinned.restart_after;
            }
        }
    }

    /// We are about to end a container's process; with a diagnosis, because it is not well.
    pub fn stopping(&mut self, service: &str, id: &str, why: Option<Diagnosis>) {
        let remembered = self.services.entry(service.to_owned()).or_default();
        remembered.stopped = Some((id.to_owned(), why));
    }

    /// The process of a container was not ended, although we were about to.
    pub fn spared(&mut self, service: &str, id: &str) {
        if let Some(remembered) = self.services.get_mut(service) {
            remembered.stopped.take_if(|it| it.0 == *id);
        }
    }

    /// What probes said of the process that runs: since when it is ready.
    pub fn probed(&mut self, service: &str, ready_since: Option<DateTime<Utc>>) {
        self.services.entry(service.to_owned()).or_default().probed = Some(ready_since);
    }

    /// A process was started again.
    pub fn started(&mut self, service: &str, again: bool) {
        let remembered = self.services.entry(service.to_owned()).or_default();
        remembered.restarts += u32::from(again && !remembered.forgiven);
        (remembered.stopped, remembered.probed) = (None, None);
        remembered.forgiven = false;
    }

    /// A step other than a start was refused (`why`) or done.
    pub fn obstructed(&mut self, service: &str, why: Option<Diagnosis>, now: DateTime<Utc>) {
        let remembered = self.services.entry(service.to_owned()).or_default();
        let before = std::mem::replace(&mut remembered.obstacle, why.clone());
        // The same refusal again is no news.
        if let Some(why) = why.filter(|it| before.is_none_or(|before| before.reason != it.reason)) {
            self.incidents.push(Incident::told(service, "", now, why, 0));
        }
    }

    /// Forgets what was in the way of steps that are not to be done any more.
    pub fn clear(&mut self, desired: &Desired, plan: &Plan) {
        for service in desired.stack.services.values() {
            if !plan.steps().any(|it| it.serves(service))
                && let Some(remembered) = self.services.get_mut(&service.name)
            {
                remembered.obstacle = None;
            }
        }
    }

    /// The scan policy refuses (`why`) or lets its image start.
    pub fn held(&mut self, service: &str, why: Option<Diagnosis>, now: DateTime<Utc>) {
        let remembered = self.services.entry(service.to_owned()).or_default();
        let before = std::mem::replace(&mut remembered.held, why.clone());
        if let Some(why) = why.filter(|it| before.as_ref() != Some(it)) {
            self.incidents.push(Incident::told(service, "", now, why, 0));
        }
    }

    /// A container could not be started.
    pub fn refused(
        &mut self,
        service: &Service,
        id: &str,
        why: Diagnosis,
        now: DateTime<Utc>,
        random: f64,
    ) {
        let remembered = self.services.entry(service.name.clone()).or_default();
        let end = End { reason: why.reason, success: false, ready_for: Duration::ZERO, at: now };
        remembered.judge(service, end, why.clone(), random);
        let attempt = remembered.history.ends;
        self.incidents.push(Incident::told(&service.name, id, now, why, attempt));
    }

    /// What failed since it was last asked.
    pub fn take_incidents(&mut self) -> Vec<Incident> {
        std::mem::take(&mut self.incidents)
    }

    /// The log and the usage of the last end tell more than its exit code did.
    pub fn explain(&mut self, incident: &Incident, told: &Diagnosis) {
        let Some(remembered) = self.services.get_mut(&incident.service) else { return };
        let last = remembered.judged.as_ref();
        let same = last.is_some_and(|it| it.0 == incident.container && it.1 == Some(incident.at));
        if !same || remembered.diagnosis.is_none() {
            return;
        }
        if told.reason.retry() == Retry::Never {
            remembered.failed = true;
            remembered.may_start = Some(MayStart::Never);
        }
        remembered.diagnosis = Some(told.clone());
    }

    /// When each service may be started.
    #[must_use]
    pub fn judged(&self) -> Judged {
        let may_start = self.services.iter();
        let may_start = may_start.filter_map(|(name, it)| Some((name.clone(), it.may_start?)));
        let settles = self.services.iter();
        let settles = settles.filter_map(|(name, it)| Some((name.clone(), it.settles_at?)));
        let left = self.services.iter().filter(|it| it.1.left);
        Judged {
            may_start: may_start.collect(),
            left: left.map(|it| it.0.clone()).collect(),
            settles_at: settles.collect(),
            ..Judged::default()
        }
    }
}

impl Remembered {
    /// What happened does not count any more. The end of a process that we are about to end is
    /// still ours.
    fn forgive(&mut self) {
        let stopped = self.stopped.take().map(|(id, _)| (id, None));
        *self = Self { stopped, ..Self::default() };
    }

    fn ended(
        &mut self,
        service: &Service,
        container: &Container,
        asked: Asked,
        outage: Option<Outage>,
        random: f64,
    ) -> Option<Incident> {
        let ending = (container.id.clone(), container.finished_at);
        if self.judged.as_ref() == Some(&ending) {
            return None;
        }
        self.judged = Some(ending);
        let during = |(from, to)| container.finished_at.is_some_and(|at| from <= at && at <= to);
        self.forgiven = outage.is_some_and(during);
        if self.forgiven {
            self.may_start = None;
            return None;
        }
        let stopped = self.stopped.take().filter(|(id, _)| *id == container.id);
        let done = service.one_shot && container.exit_code == 0;
        let before = container.finished_at <= asked.again.max(Some(asked.at))
            || container.started_at < asked.again;
        let (why, event) = match stopped {
            Some((_, Some(why))) => (why.clone(), Event::Told(why)),
            Some((_, None)) => return None,
            None if before || done => return None,
            None => (exit(container).diagnose(), ended(container)),
        };
        let ready = container.finished_at.zip(self.probed.unwrap_or(container.started_at));
        let ready_for = ready.and_then(|(end, since)| (end - since).to_std().ok());
        let end = End {
            reason: why.reason,
            success: container.exit_code == 0 && why.reason == crate::reason::Reason::Exited,
            ready_for: ready_for.unwrap_or_default(),
            at: container.finished_at.unwrap_or_default(),
        };
        self.judge(service, end, why, random);
        // What its policy takes for success is no failure.
        self.diagnosis.as_ref()?;
        Some(Incident {
            service: service.name.clone(),
            container: container.id.clone(),
            began: container.started_at,
            at: end.at,
            event,
            attempt: self.history.ends,
        })
    }

    fn judge(&mut self, service: &Service, end: End, why: Diagnosis, random: f64) {
        let (decision, history) = restart::decide(&self.history, end, service.restart, random);
        self.history = history;
        self.failed = matches!(decision, Decision::Failed { .. });
        self.left = decision == Decision::Leave;
        self.diagnosis = Some(why);
        self.may_start = Some(match decision {
            Decision::Leave | Decision::Failed { retry_at: None, .. } => MayStart::Never,
            Decision::Restart { at, .. } | Decision::Failed { retry_at: Some(at), .. } => {
                MayStart::At(at)
            }
        });
        if decision == Decision::Leave {
            self.diagnosis = None;
        }
    }
}

impl Incident {
    fn told(
        service: &str,
        container: &str,
        at: DateTime<Utc>,
        why: Diagnosis,
        attempt: u32,
    ) -> Self {
        let (service, container) = (service.to_owned(), container.to_owned());
        Self { service, container, began: None, at, event: Event::Told(why), attempt }
    }
}

fn ended(container: &Container) -> Event {
    Event::Ended {
        code: container.exit_code,
        out_of_memory: container.oom_killed,
        memory_limit: container.limits.memory_bytes,
    }
}

fn exit(container: &Container) -> Exit<'_> {
    Exit {
        code: container.exit_code,
        out_of_memory: container.oom_killed,
        memory_limit: container.limits.memory_bytes,
        memory_peak: 0,
        last_line: "",
    }
}
