//! One log for each service of a project, over restarts, recreation and removal.
//!
//! - From the Engine: [`frame`], [`line`], [`resume`] (pure: no line twice, none left out),
//!   `reader` (a task for each container).
//! - On disk: [`record`], `segment`, [`timeline`] (the store of one service).
//! - For people: [`filter`], [`query`], `follow`, [`cursor`], [`level`], [`redact`].
//!
//! Invariants: what is stored of a container is a prefix of what the Engine has, and itself says
//! where to go on; what is missing is shown as a gap; a reader of the log never delays the writer.

pub mod cursor;
pub mod filter;
mod follow;
pub mod frame;
pub mod level;
pub mod line;
mod project;
pub mod query;
mod reader;
pub mod record;
pub mod redact;
pub mod resume;
mod scan;
mod segment;
pub mod timeline;

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use chassis::Shutdown;
use chrono::Utc;
use futures::Stream;
use proto::{Failure, ProjectId, Reason};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::docker::Client;
use project::{Project, Service};
use query::{Entry, Query};
use reader::Reader;
use record::{Body, Draft, Kind, Mark};

/// Containers that wait for their reader.
const ATTACH_MAX: usize = 1_024;

/// Answers that are read from disk at once.
const READS_MAX: usize = 16;

/// How long an answer may wait for its place.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// How often logs are cut down to their limits.
const RETAIN_INTERVAL: Duration = Duration::from_secs(60);

/// How often a process that stands by looks whether the folder is free.
const LOCK_INTERVAL: Duration = Duration::from_millis(500);

/// Held by the one process that writes.
const LOCK_FILE: &str = ".lock";

/// How much is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Of one service, on disk.
    pub service_bytes_max: u64,
    /// Of all services, on disk.
    pub total_bytes_max: u64,
    /// For how many days.
    pub days: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self { service_bytes_max: 200 << 20, total_bytes_max: 5 << 30, days: 7 }
    }
}

/// The logs of all projects; cheap to clone.
#[derive(Clone)]
pub struct Logs {
    inner: Arc<Inner>,
}

struct Inner {
    folder: PathBuf,
    config: Config,
    /// While this process writes.
    owned: Mutex<Option<Owned>>,
    reads: Semaphore,
    attach: mpsc::Sender<Attach>,
    attached: tokio::sync::Mutex<mpsc::Receiver<Attach>>,
}

struct Owned {
    _lock: File,
    projects: HashMap<ProjectId, Arc<Project>>,
}

/// How to wake the reader of a container, and its task.
type Known = HashMap<String, (Arc<Notify>, tokio::task::Id)>;

struct Attach {
    project: ProjectId,
    service: String,
    container: String,
    docker: Client,
}

impl Logs {
    /// Logs that lie in a folder, which is made when they are first written. Nothing is read or
    /// written before [`Logs::run`].
    #[must_use]
    pub fn new(folder: PathBuf, config: Config) -> Self {
        let (attach, attached) = mpsc::channel(ATTACH_MAX);
        let (owned, reads) = (Mutex::default(), Semaphore::new(READS_MAX));
        let attached = tokio::sync::Mutex::new(attached);
        let inner = Inner { folder, config, owned, reads, attach, attached };
        Self { inner: Arc::new(inner) }
    }

    /// Reads the containers that are attached, and keeps the logs within their limits. Waits while
    /// another process has the folder.
    ///
    /// # Errors
    /// When the folder cannot be made or locked.
    pub async fn run(&self, shutdown: Shutdown) -> anyhow::Result<()> {
        let mut attached = self.inner.attached.lock().await;
        if !self.own(&shutdown).await? {
            return Ok(());
        }
        let mut readers: JoinSet<String> = JoinSet::new();
        let mut known = Known::new();
        let mut retain = interval(RETAIN_INTERVAL);
        retain.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(attach) = attached.recv() => {
                    self.read(attach, &mut readers, &mut known, &shutdown).await;
                }
                Some(ended) = readers.join_next() => match ended {
                    Ok(container) => drop(known.remove(&container)),
                    Err(error) => {
                        tracing::error!(%error, "the reader of a log ended");
                        known.retain(|_, (_, task)| *task != error.id());
                    }
                },
                _ = retain.tick() => self.retain().await,
            }
        }
        while readers.join_next().await.is_some() {}
        *self.owned() = None;
        Ok(())
    }

    /// Reads a container's log into its service's from where that ends. Say it again whenever the
    /// container was started: a reader that rests is woken.
    pub async fn attach(
        &self,
        project: ProjectId,
        service: &str,
        container: &str,
        docker: &Client,
    ) {
        let (service, container) = (service.to_owned(), container.to_owned());
        let attach = Attach { project, service, container, docker: docker.clone() };
        // The receiver lives as long as we do.
        self.inner.attach.send(attach).await.ok();
    }

    /// Notes in a service's log what happened to its container.
    ///
    /// # Errors
    /// `UNAVAILABLE` when this process does not write, or the disk refuses.
    pub async fn mark(&self, project: ProjectId, service: &str, mark: Mark) -> Result<(), Failure> {
        let (logs, service) = (self.clone(), service.to_owned());
        let at = Utc::now().timestamp_nanos_opt().unwrap_or_default();
        self.blocking(move || {
            let project = logs.project(project)?;
            let service = project.make(&service).map_err(disk)?;
            let body = Body::Record(Kind::Mark(mark));
            service.timeline.append(&[Draft { at, source: 0, body }]).map_err(disk)?;
            project.announce();
            Ok(())
        })
        .await
    }

    /// Blacks out these values in what a project's services write from now on.
    ///
    /// # Errors
    /// As [`Logs::mark`].
    pub async fn redact(
        &self,
        project: ProjectId,
        secrets: Vec<SecretString>,
    ) -> Result<(), Failure> {
        let logs = self.clone();
        self.blocking(move || {
            logs.project(project)?.set_redactor(redact::Redactor::new(&secrets));
            Ok(())
        })
        .await
    }

    /// What is in the logs now.
    ///
    /// # Errors
    /// `NOT_FOUND` that names a service without a log; as [`Logs::mark`].
    pub async fn query(&self, project: ProjectId, query: Query) -> Result<Vec<Entry>, Failure> {
        let logs = self.clone();
        self.blocking(move || {
            let (_, services) = logs.select(project, &query)?;
            Ok(query::answer(&services, &query).0)
        })
        .await
    }

    /// What [`Logs::query`] answers, then what comes. An empty batch comes at least every 15 s.
    ///
    /// # Errors
    /// As [`Logs::query`]; `RATE_LIMITED` when a service has 64 followers.
    pub async fn follow(
        &self,
        project: ProjectId,
        query: Query,
    ) -> Result<impl Stream<Item = Result<Vec<Entry>, Failure>> + Send + use<>, Failure> {
        let logs = self.clone();
        let follower = self
            .blocking(move || {
                let (project, services) = logs.select(project, &query)?;
                follow::Follower::new(project, &services, query)
            })
            .await?;
        Ok(follower.batches())
    }

    /// Removes a project's logs for good. Its containers must be gone.
    ///
    /// # Errors
    /// As [`Logs::mark`].
    pub async fn forget(&self, project: ProjectId) -> Result<(), Failure> {
        let logs = self.clone();
        self.blocking(move || {
            let mut owned = logs.owned();
            owned.as_mut().ok_or_else(stands_by)?.projects.remove(&project);
            match fs::remove_dir_all(logs.inner.folder.join(project.to_string())) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk(error)),
                _ => Ok(()),
            }
        })
        .await
    }

    /// Waits for the folder; `false` when we were asked to stop first.
    async fn own(&self, shutdown: &Shutdown) -> anyhow::Result<bool> {
        let folder = &self.inner.folder;
        let shown = folder.display();
        fs::create_dir_all(folder).with_context(|| format!("{shown} cannot be made"))?;
        let path = folder.join(LOCK_FILE);
        let lock = File::create(&path).with_context(|| format!("{shown} cannot be written"))?;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("{shown} cannot be locked"));
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return Ok(false),
                () = sleep(LOCK_INTERVAL) => {}
            }
        }
        *self.owned() = Some(Owned { _lock: lock, projects: HashMap::new() });
        Ok(true)
    }

    async fn read(
        &self,
        attach: Attach,
        readers: &mut JoinSet<String>,
        known: &mut Known,
        shutdown: &Shutdown,
    ) {
        let Attach { project, service, container, docker } = attach;
        if let Some((wake, _)) = known.get(&container) {
            return wake.notify_one();
        }
        let (logs, name) = (self.clone(), service.clone());
        let opened = self
            .blocking(move || {
                let project = logs.project(project)?;
                let service = project.make(&name).map_err(disk)?;
                Ok((project, service))
            })
            .await;
        let (project, service) = match opened {
            Ok(opened) => opened,
            // The reconciler attaches again with its next look.
            Err(error) => {
                tracing::error!(%project, service, %error, "the log cannot be opened");
                return;
            }
        };
        let wake = Arc::new(Notify::new());
        let id = container.clone();
        let reader = Reader { project, service, container, docker, wake: wake.clone() };
        let shutdown = shutdown.clone();
        let task = readers.spawn(async move {
            reader.run(shutdown).await;
            reader.container
        });
        known.insert(id, (wake, task.id()));
    }

    /// A project's logs, opened when nobody has. Blocks.
    fn project(&self, id: ProjectId) -> Result<Arc<Project>, Failure> {
        let mut owned = self.owned();
        let owned = owned.as_mut().ok_or_else(stands_by)?;
        if let Some(project) = owned.projects.get(&id) {
            return Ok(project.clone());
        }
        let folder = self.inner.folder.join(id.to_string());
        let project = Arc::new(Project::open(&folder).map_err(disk)?);
        owned.projects.insert(id, project.clone());
        Ok(project)
    }

    fn select(
        &self,
        id: ProjectId,
        query: &Query,
    ) -> Result<(Arc<Project>, Vec<Arc<Service>>), Failure> {
        let project = self.project(id)?;
        for name in &query.services {
            if project.service(name).is_none() {
                let known = project.services();
                let known: Vec<&str> = known.iter().map(|it| &*it.name).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let what = format!("{name} in this project; services with a log: {known}");
                return Err(Failure::not_found("log of the service", what));
            }
        }
        let services = follow::select(&project, &query.services);
        Ok((project, services))
    }

    /// Cuts the logs of all projects down to their limits.
    async fn retain(&self) {
        let logs = self.clone();
        let retained = self.blocking(move || logs.retain_now()).await;
        if let Err(error) = retained {
            tracing::warn!(%error, "logs are not kept within their limits");
        }
    }

    fn retain_now(&self) -> Result<(), Failure> {
        let Config { service_bytes_max, total_bytes_max, days } = self.inner.config;
        let age = chrono::TimeDelta::days(i64::from(days));
        let before = (Utc::now() - age).timestamp_nanos_opt().unwrap_or_default();
        let mut services = Vec::new();
        for entry in fs::read_dir(&self.inner.folder).map_err(disk)? {
            let name = entry.map_err(disk)?.file_name();
            if let Some(id) = name.to_str().and_then(|name| name.parse().ok()) {
                services.extend(self.project(id)?.services());
            }
        }
        for service in &services {
            service.timeline.retain(service_bytes_max, before);
        }
        let mut total: u64 = services.iter().map(|it| it.timeline.bytes()).sum();
        // Of all services, the oldest goes first, one segment at a time.
        while total > total_bytes_max {
            let oldest = services
                .iter()
                .filter_map(|it| Some((it.timeline.oldest()?, it)))
                .min_by_key(|it| it.0);
            let Some((_, service)) = oldest else { break };
            let removed = service.timeline.retain(service.timeline.bytes() - 1, before);
            if removed == 0 {
                break;
            }
            total -= removed;
        }
        Ok(())
    }

    /// Runs what waits for a disk, at most [`READS_MAX`] at once.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let late = || {
            let message = "the log's disk is too busy to answer: try again later";
            Failure::new(Reason::Unavailable, message).retry_after(READ_TIMEOUT)
        };
        let place = tokio::time::timeout(READ_TIMEOUT, self.inner.reads.acquire());
        let _place = place.await.map_err(|_| late())?.map_err(|_| late())?;
        spawn_blocking(work).await.map_err(|error| {
            Failure::new(Reason::Internal, format!("the log could not be read: {error}"))
        })?
    }

    fn owned(&self) -> MutexGuard<'_, Option<Owned>> {
        self.inner.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stands_by() -> Failure {
    let message = "this orchestrator stands by and does not have the logs: ask the active one, or \
                   try again when it has taken over";
    Failure::new(Reason::Unavailable, message).retry_after(LOCK_INTERVAL)
}

fn disk(error: io::Error) -> Failure {
    let full = error.kind() == io::ErrorKind::StorageFull;
    let remedy = if full { "free some space" } else { "look at the disk of the data folder" };
    Failure::new(Reason::Unavailable, format!("the log cannot be stored ({error}): {remedy}"))
}
