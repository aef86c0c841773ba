//! What is to be done about one service.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Desired, Judged, MayStart, Pinned, Step, Wait, limits};
use crate::files;
use crate::naming::Naming;
use crate::observed::{Container, Observed, State};
use crate::spec::{Condition, Dependency, Service};

/// For a container whose service is no longer declared.
const GRACE_DEFAULT: Duration = Duration::from_secs(10);

/// Everything that decides.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) desired: &'a Desired,
    pub(super) observed: &'a Observed,
    pub(super) judged: &'a Judged,
    pub(super) now: DateTime<Utc>,
}

/// Steps by their place in the plan.
#[derive(Default)]
pub(super) struct Work {
    pub(super) stop: Vec<Step>,
    pub(super) remove: Vec<Step>,
    pub(super) create: Vec<Step>,
    pub(super) change: Vec<Step>,
    pub(super) fill: Vec<Step>,
    pub(super) start: Vec<Step>,
    pub(super) waits: BTreeMap<String, Wait>,
    pub(super) wake_at: Option<DateTime<Utc>>,
}

impl Work {
    /// Stops and removes a container.
    pub(super) fn discard(&mut self, container: &Container, desired: &Desired) {
        if container.is_up() {
            self.stop.push(stop(container, desired));
        }
        if container.state != State::Removing {
            self.remove.push(remove(container));
        }
    }

    fn wait(&mut self, service: &Service, wait: Wait) {
        if let Wait::Backoff(at) = wait {
            self.wake_at = Some(self.wake_at.map_or(at, |it| it.min(at)));
        }
        self.waits.insert(service.name.clone(), wait);
    }
}

pub(super) fn stop(container: &Container, desired: &Desired) -> Step {
    let declared = desired.stack.services.get(&container.service);
    let grace = declared.map_or(GRACE_DEFAULT, |it| it.stop.grace);
    Step::Stop { service: container.service.clone(), id: container.id.clone(), grace }
}

pub(super) fn remove(container: &Container) -> Step {
    Step::RemoveContainer { service: container.service.clone(), id: container.id.clone() }
}

pub(super) fn decide(work: &mut Work, service: &Service, scene: &Scene<'_>) {
    let Some(pinned) = scene.desired.pinned.get(&service.name) else {
        // What there is is left alone, running or not.
        return work.wait(service, Wait::Image);
    };
    if let Some(network) = unaddressed(service, scene) {
        return work.wait(service, Wait::Addresses { network });
    }
    let current = current(scene.observed, &service.name, &pinned.hash);
    let held = scene.judged.held.contains(&service.name);
    if current.is_none() && held {
        // What there is is left alone, running or not.
        return work.wait(service, Wait::Scan);
    }
    let mut removing = false;
    for container in scene.observed.of(&service.name) {
        removing |= container.state == State::Removing;
        if current.is_none_or(|it| it.id != container.id) {
            work.discard(container, scene.desired);
        }
    }
    match current {
        Some(container) => keep(work, service, pinned, container, scene),
        None if removing => work.wait(service, Wait::Removal),
        None => work.create.push(Step::CreateContainer { service: service.name.clone() }),
    }
}

/// A network of the service that is not there and cannot be made.
fn unaddressed(service: &Service, scene: &Scene<'_>) -> Option<String> {
    let Scene { desired, observed, .. } = scene;
    let lacks =
        |name: &String| !desired.subnets.contains_key(name) && observed.network(name).is_none();
    service.networks.iter().map(|it| &it.network).find(|it| lacks(it)).cloned()
}

/// The container that is the service: one that runs before one that does not, then the newest.
#[must_use]
pub fn current<'a>(observed: &'a Observed, service: &'a str, hash: &str) -> Option<&'a Container> {
    observed
        .of(service)
        .filter(|it| it.config_hash == hash)
        .filter(|it| !matches!(it.state, State::Removing | State::Dead))
        .max_by(|a, b| {
            let rank = |it: &Container| (it.is_up(), it.created_at);
            rank(a).cmp(&rank(b)).then_with(|| a.id.cmp(&b.id))
        })
}

/// Changes a container that is the right one, and starts or stops its process.
fn keep(
    work: &mut Work,
    service: &Service,
    pinned: &Pinned,
    container: &Container,
    scene: &Scene<'_>,
) {
    let id = || container.id.clone();
    let name = || service.name.clone();
    let wanted = limits(service.resources);
    if container.limits != wanted {
        work.change.push(Step::Update { service: name(), id: id(), limits: wanted });
    }
    let naming = Naming { owner: uuid::Uuid::nil(), project: scene.desired.project };
    for attachment in &service.networks {
        if !container.networks.contains_key(&naming.network(&attachment.network)) {
            let attachment = attachment.clone();
            work.change.push(Step::Connect { service: name(), id: id(), attachment });
        }
    }
    let asked = asked(service, pinned, container, scene);
    if container.is_up() {
        if !asked && !scene.judged.unhealthy.contains(&service.name) {
            return;
        }
        if scene.judged.held.contains(&service.name) {
            // Better the old process than none.
            return work.wait(service, Wait::Scan);
        }
        work.stop.push(stop(container, scene.desired));
        if !asked {
            return; // The restart policy decides once it has ended.
        }
    } else if is_completed(service, container, scene) && !asked {
        return;
    }
    match may_start(service, scene) {
        Ok(()) => {
            if files::has(service) {
                work.fill.push(Step::Fill { service: name(), id: id() });
            }
            work.start.push(Step::Start { service: name(), id: id() });
        }
        Err(wait) => work.wait(service, wait),
    }
}

/// A service that ends by design, or as its policy has it, has done its work.
fn is_completed(service: &Service, container: &Container, scene: &Scene<'_>) -> bool {
    let may_end = service.one_shot || scene.judged.left.contains(&service.name);
    may_end && container.has_ended() && container.exit_code == 0
}

/// Somebody wants a new process: the owner, or a dependency that was restarted.
fn asked(service: &Service, pinned: &Pinned, container: &Container, scene: &Scene<'_>) -> bool {
    let Some(started_at) = container.started_at else {
        return false;
    };
    let by_owner = pinned.restart_after.is_some_and(|at| started_at < at);
    let by_dependency = service.depends_on.iter().filter(|it| it.restart).any(|it| {
        let other = container_of(&it.service, scene);
        other.is_some_and(|it| it.is_up() && it.started_at > Some(started_at))
    });
    by_owner || (by_dependency && !service.one_shot)
}

fn may_start(service: &Service, scene: &Scene<'_>) -> Result<(), Wait> {
    if let Some(needed) = service.depends_on.iter().find(|it| !is_met(it, scene)) {
        let (on, condition) = (needed.service.clone(), needed.condition);
        return Err(Wait::Dependency { on, condition });
    }
    match scene.judged.may_start.get(&service.name).copied().unwrap_or(MayStart::Now) {
        MayStart::At(at) if at > scene.now => Err(Wait::Backoff(at)),
        MayStart::Now | MayStart::At(_) if scene.judged.held.contains(&service.name) => {
            Err(Wait::Scan)
        }
        MayStart::Now | MayStart::At(_) => Ok(()),
        MayStart::Never => Err(Wait::GaveUp),
    }
}

/// Whether a dependency has reached what is needed of it, or is not worth waiting for.
fn is_met(dependency: &Dependency, scene: &Scene<'_>) -> bool {
    let name = &dependency.service;
    let Some(service) = scene.desired.stack.services.get(name) else {
        return !dependency.required;
    };
    let container = container_of(name, scene);
    let reached = container.is_some_and(|it| match dependency.condition {
        Condition::Started => it.is_up() || is_completed(service, it, scene),
        Condition::Healthy => is_ready(service, it, scene),
        Condition::Completed => it.has_ended() && it.exit_code == 0,
    });
    let gave_up = scene.judged.may_start.get(name) == Some(&MayStart::Never);
    reached || (!dependency.required && gave_up)
}

/// Whether probes say when it is ready.
#[must_use]
pub fn is_probed(service: &Service) -> bool {
    service.probes.startup.is_some() || service.probes.readiness.is_some()
}

/// Without a probe, a process that runs is ready, unless it ended lately.
fn is_ready(service: &Service, container: &Container, scene: &Scene<'_>) -> bool {
    let (name, judged) = (&service.name, scene.judged);
    let settled = || judged.settles_at.get(name).is_none_or(|at| *at <= scene.now);
    let ready = || if is_probed(service) { judged.ready.contains(name) } else { settled() };
    is_completed(service, container, scene) || (container.state == State::Running && ready())
}

fn container_of<'a>(service: &'a str, scene: &Scene<'a>) -> Option<&'a Container> {
    let pinned = scene.desired.pinned.get(service)?;
    current(scene.observed, service, &pinned.hash)
}
