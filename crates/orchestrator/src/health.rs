//! How a stack does, put together from what is there, what is planned and what is remembered. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use proto::ProjectId;

use crate::memory::{Memory, Remembered};
use crate::observed::{Container, Observed, State};
use crate::plan::{self, Desired, Plan, Wait, Wish};
use crate::probe::{Answer, Snapshot};
use crate::reason::{Diagnosis, Reason, Retry};
use crate::scan::Gate;
use crate::spec::{Condition, Service};
use crate::status::{self, Care, Facts, Process, Status};

/// How a stack does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whose.
    pub project: ProjectId,
    /// Of its worst service.
    pub status: Status,
    /// Of its worst service; empty when there is nothing to say.
    pub reason: String,
    /// Of the spec.
    pub generation: u64,
    /// By name.
    pub services: Vec<ServiceHealth>,
    /// When Docker was looked at.
    pub observed_at: DateTime<Utc>,
}

/// How a service does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceHealth {
    /// Its name.
    pub name: String,
    /// In one word.
    pub status: Status,
    /// Why.
    pub diagnosis: Option<Diagnosis>,
    /// The container that is the service; empty when there is none.
    pub container_id: String,
    /// As its owner wrote it.
    pub image: String,
    /// Of the present process.
    pub started_at: Option<DateTime<Utc>>,
    /// How often it was started again since its owner last wanted something else.
    pub restarts: u32,
    /// When it will be started again.
    pub next_restart_at: Option<DateTime<Utc>>,
    /// Of the last end.
    pub exit_code: Option<i64>,
    /// Ports of the host.
    pub published: Vec<String>,
    /// The last answers of its probes, newest first.
    pub probes: Vec<Answer>,
}

/// Everything that is known.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// What shall be.
    pub desired: &'a Desired,
    /// What is there.
    pub observed: &'a Observed,
    /// What comes next.
    pub plan: &'a Plan,
    /// What happened.
    pub memory: &'a Memory,
    /// What probes say, by service; those without probes are not here.
    pub probes: &'a BTreeMap<String, Snapshot>,
    /// What the scan policy says, by service.
    pub gates: &'a BTreeMap<String, Gate>,
    /// Another orchestrator acts, and asks the probes.
    pub stands_by: bool,
}

/// How the stack does at `now`.
#[must_use]
pub fn health(known: &Known<'_>, now: DateTime<Utc>) -> Health {
    let desired = known.desired;
    let services = desired.stack.services.values().map(|it| service(it, known, now));
    let services: Vec<_> = services.collect();
    let wanted = desired.wish == Wish::Running;
    let (status, worst) =
        status::stack(wanted, services.iter().map(|it| (it.name.as_str(), it.status)));
    let worst = worst.and_then(|name| services.iter().find(|it| it.name == name));
    let reason = worst.and_then(|it| {
        let diagnosis = it.diagnosis.as_ref()?;
        Some(format!("{}: {}", it.name, diagnosis.message))
    });
    Health {
        project: desired.project,
        status,
        reason: reason.unwrap_or_default(),
        generation: desired.generation,
        services,
        observed_at: now,
    }
}

/// What was known, now that the daemon does not answer.
#[must_use]
pub fn unknown(last: &Health, why: &str) -> Health {
    let mut health = last.clone();
    health.status = Status::Unknown;
    health.reason = why.to_owned();
    for service in &mut health.services {
        service.status = Status::Unknown;
        service.diagnosis = Some(Diagnosis::new(Reason::DaemonUnreachable, why));
    }
    health
}

fn service(service: &Service, known: &Known<'_>, now: DateTime<Utc>) -> ServiceHealth {
    let name = &service.name;
    let container = container(name, known);
    let remembered = known.memory.of(name);
    let wait = known.plan.waits.get(name);
    let gate = known.gates.get(name);
    // What runs is not what shall run.
    let held = matches!(wait, Some(Wait::Scan | Wait::Image | Wait::Addresses { .. }));
    let care = match wait {
        _ if remembered.failed || hopeless(remembered) => Care::GaveUp,
        Some(Wait::GaveUp | Wait::Image) => Care::GaveUp,
        Some(Wait::Scan) if matches!(gate, Some(Gate::Closed(_))) => Care::GaveUp,
        Some(_) => Care::Waiting,
        None => Care::None,
    };
    let snapshot = known.probes.get(name);
    let facts = Facts {
        reachable: true,
        wanted: known.desired.wish == Wish::Running,
        one_shot: service.one_shot || remembered.left,
        process: container.filter(|_| !held).map_or(Process::None, process),
        health: snapshot.map_or_else(|| unprobed(service, known, now), |it| it.health),
        care,
        diagnosis: gate
            .filter(|_| wait == Some(&Wait::Scan))
            .and_then(Gate::diagnosis)
            .or_else(|| snapshot.and_then(|it| it.diagnosis.as_ref()))
            .cloned()
            .or_else(|| elsewhere(service, known).filter(|_| !held))
            .or_else(|| diagnosis(service, wait, remembered)),
    };
    let (status, diagnosis) = status::service(&facts);
    let warning = gate.filter(|_| status == Status::Ready).and_then(Gate::diagnosis);
    let diagnosis = diagnosis.or_else(|| warning.cloned());
    let ended = container.filter(|it| it.has_ended());
    ServiceHealth {
        name: name.clone(),
        status,
        diagnosis,
        container_id: container.map(|it| it.id.clone()).unwrap_or_default(),
        image: service.image.clone(),
        started_at: container.filter(|it| it.is_up()).and_then(|it| it.started_at),
        restarts: remembered.restarts,
        next_restart_at: match wait {
            Some(Wait::Backoff(at)) => Some(*at),
            _ => None,
        },
        exit_code: ended.map(|it| it.exit_code),
        published: container.map(|it| it.published.clone()).unwrap_or_default(),
        probes: snapshot.map(|it| it.answers.clone()).unwrap_or_default(),
    }
}

/// The container that is the service, or the one that is about to be replaced.
fn container<'a>(name: &'a str, known: &Known<'a>) -> Option<&'a Container> {
    let pinned = known.desired.pinned.get(name);
    let current = pinned.and_then(|it| plan::current(known.observed, name, &it.hash));
    current.or_else(|| known.observed.of(name).next())
}

fn process(container: &Container) -> Process {
    match container.state {
        State::Running | State::Restarting => Process::Running,
        State::Paused => Process::Paused,
        State::Exited if container.started_at.is_some() => {
            Process::Ended { success: container.exit_code == 0 }
        }
        _ => Process::None,
    }
}

/// Nothing was known before, and now nothing can be.
#[must_use]
pub fn unseen(project: ProjectId, why: &str, now: DateTime<Utc>) -> Health {
    Health {
        project,
        status: Status::Unknown,
        reason: why.to_owned(),
        generation: 0,
        services: Vec::new(),
        observed_at: now,
    }
}

/// Before the first answer; without probes, a process that runs is ready, unless it ended lately.
fn unprobed(service: &Service, known: &Known<'_>, now: DateTime<Utc>) -> status::Health {
    let settles_at = known.memory.of(&service.name).settles_at;
    match plan::is_probed(service) {
        true if known.stands_by => status::Health::Unknown,
        true => status::Health::Starting,
        false if settles_at.is_some_and(|at| now < at) => status::Health::Starting,
        false => status::Health::Ready,
    }
}

/// Whoever stands by does not ask.
fn elsewhere(service: &Service, known: &Known<'_>) -> Option<Diagnosis> {
    (known.stands_by && plan::is_probed(service)).then(|| Diagnosis {
        reason: Reason::ProbeUnknown,
        message: "another orchestrator acts, and asks its probes".to_owned(),
        hint: "ask the orchestrator that acts".to_owned(),
    })
}

/// Something is in the way that does not go away by itself.
fn hopeless(remembered: &Remembered) -> bool {
    remembered.obstacle.as_ref().is_some_and(|it| it.reason.retry() == Retry::Never)
}

fn diagnosis(service: &Service, wait: Option<&Wait>, remembered: &Remembered) -> Option<Diagnosis> {
    match wait {
        _ if remembered.obstacle.is_some() => remembered.obstacle.clone(),
        Some(Wait::Dependency { on, condition }) => {
            let wanted = match condition {
                Condition::Started => "started",
                Condition::Healthy => "ready",
                Condition::Completed => "completed",
            };
            Some(Diagnosis::dependency(on, wanted))
        }
        Some(Wait::Image) => {
            let message = format!("there is no image {} on the daemon's host", service.image);
            Some(Diagnosis::new(Reason::ImageNotFound, message))
        }
        Some(Wait::Addresses { network }) => {
            let message = format!("no addresses can be had for the network {network}");
            Some(Diagnosis::new(Reason::NetworkPoolExhausted, message))
        }
        _ => remembered.diagnosis.clone(),
    }
}
