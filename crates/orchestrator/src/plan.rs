//! What is to be done: a pure function of what is wished, what is there, and what is known of it.
//!
//! A plan holds only what can be done now. Its stages come one after the other, the steps of one
//! stage all at once; what comes after is found by looking again. So a plan needs no memory, and
//! one that was broken off at any point is continued by the next look.

mod order;
mod service;
mod step;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, Utc};
use ipnet::Ipv4Net;
use proto::ProjectId;

use crate::files;
use crate::observed::{Limits, Observed, State, Volume};
use crate::spec::{Condition, Resources, Stack};

pub use order::levels;
pub use service::{current, is_probed};
pub use step::Step;

/// What shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// Whose.
    pub project: ProjectId,
    /// Counts the specs that were applied.
    pub generation: u64,
    /// What its owner wants of it.
    pub wish: Wish,
    /// Since when; what ended before did not fail.
    pub wished_at: DateTime<Utc>,
    /// What it consists of.
    pub stack: Stack,
    /// What each service is made from; one that is missing here is not made, nor replaced.
    pub pinned: BTreeMap<String, Pinned>,
    /// The addresses of each network.
    pub subnets: BTreeMap<String, Ipv4Net>,
}

/// What an owner wants of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Every service does its work.
    Running,
    /// The containers are there and do nothing.
    Stopped,
    /// Nothing is there, except for the volumes.
    Removed {
        /// Not even the volumes.
        volumes: bool,
    },
}

/// What a service's container is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// The Engine's id of the image.
    pub image: String,
    /// Of everything that can only be changed by another container.
    pub hash: String,
    /// A process that started before this is to be restarted.
    pub restart_after: Option<DateTime<Utc>>,
}

/// What probes and the restart policy say about services.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judged {
    /// Services with probes that are ready.
    pub ready: BTreeSet<String>,
    /// Services that only a restart can mend.
    pub unhealthy: BTreeSet<String>,
    /// When a service that does not run may be started; now, when it is missing here.
    pub may_start: BTreeMap<String, MayStart>,
    /// Services that ended as their policy has it: they have done their work.
    pub left: BTreeSet<String>,
    /// From when on a service without probes, which ended lately, counts as ready.
    pub settles_at: BTreeMap<String, DateTime<Utc>>,
    /// Services whose image must not be started now; what runs already goes on.
    pub held: BTreeSet<String>,
}

/// When a service may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayStart {
    /// Now.
    Now,
    /// Not before.
    At(DateTime<Utc>),
    /// Not without its owner.
    Never,
}

/// Why a service is not started now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Another service has not reached what is needed of it.
    Dependency {
        /// The other.
        on: String,
        /// What it must reach.
        condition: Condition,
    },
    /// It ended, and is started again at this time.
    Backoff(DateTime<Utc>),
    /// It ended, and is not started again.
    GaveUp,
    /// It is not known what to make it from: the image is missing.
    Image,
    /// No addresses are free for one of its networks.
    Addresses {
        /// The network.
        network: String,
    },
    /// Its container is being removed by somebody else.
    Removal,
    /// The scan policy holds its image back.
    Scan,
}

/// What can be done now, and what is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// One after the other; none is empty.
    pub stages: Vec<Vec<Step>>,
    /// Services that are not started now, by name.
    pub waits: BTreeMap<String, Wait>,
    /// When there will be something to do although nothing happened.
    pub wake_at: Option<DateTime<Utc>>,
}

impl Plan {
    /// Whether there is nothing to do now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Every step, in order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.stages.iter().flatten()
    }

    fn stage(&mut self, steps: Vec<Step>) {
        if !steps.is_empty() {
            self.stages.push(steps);
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, stage) in self.stages.iter().enumerate() {
            for step in stage {
                writeln!(f, "{}. {step}", number + 1)?;
            }
        }
        Ok(())
    }
}

/// Decides what is to be done.
#[must_use]
pub fn plan(desired: &Desired, observed: &Observed, judged: &Judged, now: DateTime<Utc>) -> Plan {
    match desired.wish {
        Wish::Running => running(desired, observed, judged, now),
        Wish::Stopped => {
            let mut plan = Plan::default();
            plan.stage(helpers(observed));
            stop_all(&mut plan, desired, observed);
            plan
        }
        Wish::Removed { volumes } => removed(desired, observed, volumes),
    }
}

/// The limits that a service's container shall have.
#[must_use]
pub fn limits(resources: Resources) -> Limits {
    let Resources { cpu_millis, memory_bytes, pids, .. } = resources;
    Limits { cpu_millis, memory_bytes, pids }
}

fn running(desired: &Desired, observed: &Observed, judged: &Judged, now: DateTime<Utc>) -> Plan {
    let mut work = service::Work { remove: helpers(observed), ..Default::default() };
    for container in observed.containers.iter().filter(|it| !it.is_helper()) {
        if !desired.stack.services.contains_key(&container.service) {
            work.discard(container, desired);
        }
    }
    for service in desired.stack.services.values() {
        service::decide(&mut work, service, &service::Scene { desired, observed, judged, now });
    }
    let (remove_networks, create_networks) = networks(desired, observed);
    let settled = judged.settles_at.values().filter(|at| **at > now).min().copied();
    let wake_at = work.wake_at.into_iter().chain(settled).min();
    let mut plan = Plan { waits: work.waits, wake_at, ..Plan::default() };
    plan.stage(work.stop);
    plan.stage(work.remove);
    plan.stage(remove_networks.into_iter().chain(superfluous_files(desired, observed)).collect());
    plan.stage(create_networks.into_iter().chain(volumes(desired, observed)).collect());
    plan.stage(work.create);
    plan.stage(work.change);
    plan.stage(work.fill);
    plan.stage(work.start);
    plan
}

/// Whoever was to be started has started, or the start was broken off.
fn helpers(observed: &Observed) -> Vec<Step> {
    let helpers = observed.containers.iter().filter(|it| it.is_helper());
    helpers.filter(|it| it.state != State::Removing).map(service::remove).collect()
}

/// Volumes of files that no service has any more.
fn superfluous_files(desired: &Desired, observed: &Observed) -> impl Iterator<Item = Step> {
    let services = &desired.stack.services;
    let needed = |it: &&Volume| services.get(&it.files_of).is_some_and(files::has);
    files_of(observed).filter(move |it| !needed(it)).map(remove_files)
}

fn files_of(observed: &Observed) -> impl Iterator<Item = &Volume> {
    observed.volumes.iter().filter(|it| !it.files_of.is_empty())
}

fn remove_files(it: &Volume) -> Step {
    Step::RemoveFiles { service: it.files_of.clone(), name: it.name.clone() }
}

/// Networks to remove, and networks to make.
fn networks(desired: &Desired, observed: &Observed) -> (Vec<Step>, Vec<Step>) {
    let (mut remove, mut kept) = (Vec::new(), BTreeSet::new());
    for it in &observed.networks {
        let wanted = desired.stack.networks.get(&it.network);
        let fits = wanted.is_some_and(|wanted| wanted.internal == it.internal);
        if !fits || !kept.insert(&it.network) {
            remove.push(Step::RemoveNetwork { network: it.network.clone(), id: it.id.clone() });
        }
    }
    let missing = desired.stack.networks.iter().filter(|(name, _)| !kept.contains(name));
    let create = missing.filter_map(|(name, network)| {
        let subnet = *desired.subnets.get(name)?;
        Some(Step::CreateNetwork { network: name.clone(), internal: network.internal, subnet })
    });
    (remove, create.collect())
}

fn volumes<'a>(desired: &'a Desired, observed: &'a Observed) -> impl Iterator<Item = Step> + 'a {
    let there = |name: &String| observed.volumes.iter().any(|it| it.volume == *name);
    let missing = desired.stack.volumes.iter().filter(move |name| !there(name));
    missing.map(|name| Step::CreateVolume { volume: name.clone() })
}

fn removed(desired: &Desired, observed: &Observed, volumes: bool) -> Plan {
    let mut plan = Plan::default();
    stop_all(&mut plan, desired, observed);
    let containers = observed.containers.iter().map(service::remove);
    plan.stage(containers.collect());
    // They are empty as soon as nobody runs.
    plan.stage(files_of(observed).map(remove_files).collect());
    let networks = observed
        .networks
        .iter()
        .map(|it| Step::RemoveNetwork { network: it.network.clone(), id: it.id.clone() });
    plan.stage(networks.collect());
    if volumes {
        let volumes = observed
            .volumes
            .iter()
            .filter(|it| it.files_of.is_empty())
            .map(|it| Step::RemoveVolume { volume: it.volume.clone(), name: it.name.clone() });
        plan.stage(volumes.collect());
    }
    plan
}

/// Dependents before what they depend on; what is no longer declared goes first.
fn stop_all(plan: &mut Plan, desired: &Desired, observed: &Observed) {
    let levels = levels(&desired.stack);
    let level = |service: &str| levels.get(service).copied().unwrap_or(usize::MAX);
    let mut by_level: BTreeMap<usize, Vec<Step>> = BTreeMap::new();
    for container in observed.containers.iter().filter(|it| it.is_up() && !it.is_helper()) {
        let step = service::stop(container, desired);
        by_level.entry(level(&container.service)).or_default().push(step);
    }
    by_level.into_values().rev().for_each(|stage| plan.stage(stage));
}
