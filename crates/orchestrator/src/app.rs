//! What the ways in and the reconciler share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use chassis::seal::Keyring;
use proto::ProjectId;
use sqlx::PgPool;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::config::Config;
use crate::docker;
use crate::health::Health;
use crate::isolation::Isolation;
use crate::logs::Logs;
use crate::naming::Naming;
use crate::reconcile::{Failpoint, Lease};
use crate::scan::Scanner;
use crate::usage::Usage;

/// The parts of a running service.
pub struct App {
    /// How stacks are kept.
    pub config: Config,
    /// Our tables.
    pub pool: PgPool,
    /// The Engine.
    pub docker: docker::Client,
    /// What services write.
    pub logs: Logs,
    /// Whether we are the one that acts.
    pub lease: Lease,
    /// What services use.
    pub usage: Usage,
    /// Whether stacks are kept away from the host.
    pub isolation: Isolation,
    /// The key that seals secrets.
    pub keyring: Keyring,
    /// What is known of images.
    pub scanner: Scanner,
    /// Where tests break off; nowhere otherwise.
    pub failpoint: Failpoint,
    /// Wakes whoever looks for stacks that have no reconciler yet.
    pub(crate) stacks_changed: Notify,
    /// Counts what was noted in operations, for those who watch one.
    pub(crate) operations: watch::Sender<u64>,
    owner: OnceLock<Uuid>,
    projects: Mutex<HashMap<ProjectId, Arc<Project>>>,
}

/// A project that is being looked after.
#[derive(Default)]
pub(crate) struct Project {
    /// Its owner wants something else.
    pub(crate) changed: Notify,
    /// Something happened in Docker.
    pub(crate) happened: Notify,
    /// How it does; `None` before the first look.
    pub(crate) health: watch::Sender<Option<Arc<Health>>>,
    /// Held by whoever looks how hardened its containers are.
    pub(crate) hardening: tokio::sync::Mutex<()>,
}

impl App {
    /// The parts together.
    #[must_use]
    pub fn new(config: Config, pool: PgPool, keyring: Keyring, failpoint: Failpoint) -> Arc<Self> {
        let docker = docker::Client::new(config.docker_socket.clone());
        Arc::new(Self {
            lease: Lease::new(),
            logs: Logs::new(config.logs.clone()),
            scanner: Scanner::new(config.scan.clone(), docker.clone(), pool.clone()),
            isolation: Isolation::new(config.bridges.clone()),
            config,
            pool,
            docker,
            usage: Usage::default(),
            keyring,
            failpoint,
            stacks_changed: Notify::new(),
            operations: watch::Sender::new(0),
            owner: OnceLock::new(),
            projects: Mutex::default(),
        })
    }

    /// Whose objects are ours; `None` before the schema is there.
    #[must_use]
    pub fn owner(&self) -> Option<Uuid> {
        self.owner.get().copied()
    }

    pub(crate) fn set_owner(&self, owner: Uuid) {
        // A second run of the service reads the same id.
        self.owner.get_or_init(|| owner);
    }

    pub(crate) fn naming(&self, project: ProjectId) -> Naming {
        Naming { owner: self.owner().unwrap_or_default(), project }
    }

    /// A project's own place, made when nobody asked for it before.
    pub(crate) fn project(&self, project: ProjectId) -> Arc<Project> {
        self.projects().entry(project).or_default().clone()
    }

    /// How the stacks do that were looked at.
    pub(crate) fn healths(&self) -> Vec<Arc<Health>> {
        self.projects().values().filter_map(|it| it.health.borrow().clone()).collect()
    }

    /// Nobody looks after a project any more. Whoever watches it goes on watching.
    pub(crate) fn forget(&self, project: ProjectId) {
        if let Some(it) = self.projects().get(&project) {
            it.health.send_replace(None);
        }
        self.leave(project);
    }

    /// Somebody has left a project's place: it goes with the last one.
    pub(crate) fn leave(&self, project: ProjectId) {
        let mut projects = self.projects();
        let unused = projects.get(&project).is_some_and(|it| {
            let shown = it.health.borrow().is_some();
            !shown && it.health.receiver_count() == 0 && Arc::strong_count(it) == 1
        });
        if unused {
            projects.remove(&project);
        }
    }

    /// Its owner wants something else of a stack.
    pub(crate) fn changed(&self, project: ProjectId) {
        self.project(project).changed.notify_one();
        self.stacks_changed.notify_one();
    }

    /// Something happened in Docker to the projects that `which` names.
    pub(crate) fn happened(&self, which: impl Fn(ProjectId) -> bool) {
        let projects = self.projects();
        let woken = projects.iter().filter(|(id, _)| which(**id));
        woken.for_each(|(_, it)| it.happened.notify_one());
    }

    fn projects(&self) -> MutexGuard<'_, HashMap<ProjectId, Arc<Project>>> {
        // Each change of the map is one call.
        self.projects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
