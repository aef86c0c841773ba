//! One log for each service of a project, over restarts, recreation and removal.
//!
//! - From the Engine: [`frame`], [`line`], [`resume`] (pure: no line twice, none left out),
//!   `reader` (a task for each container), `run` (all of them, and retention).
//! - On disk: [`record`], `segment`, [`timeline`] (the store of one service).
//! - For people: [`filter`], [`query`], `follow`, `last`, [`cursor`], [`level`], [`redact`].
//!
//! Invariants: what is stored of a container is a prefix of what the Engine has, and itself says
//! where to go on; what is missing is shown as a gap; a reader of the log never delays the writer.

pub mod cursor;
pub mod filter;
mod follow;
pub mod frame;
mod last;
pub mod level;
pub mod line;
mod mark;
mod project;
pub mod query;
mod reader;
pub mod record;
pub mod redact;
pub mod resume;
mod run;
mod scan;
mod segment;
pub mod timeline;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::Stream;
use proto::{Failure, ProjectId, Reason};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::spawn_blocking;

use crate::docker::Client;
use project::{Project, Service};
use query::{Entry, Query};
use record::{Body, Draft, Kind, Mark};
use redact::{Current, Redactor};

pub use last::Run;

/// Containers that wait for their reader.
const ATTACH_MAX: usize = 1_024;

/// Answers that are read from disk at once.
const READS_MAX: usize = 16;

/// How long an answer may wait for its place.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a process that stands by looks whether the folder is free.
const LOCK_INTERVAL: Duration = Duration::from_millis(500);

/// Where logs are kept, and how much of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// On a disk of this machine; made when it is not there.
    pub folder: PathBuf,
    /// Of one service, on disk.
    pub service_bytes_max: u64,
    /// Of all services, on disk.
    pub total_bytes_max: u64,
    /// For how many days.
    pub days: u16,
}

impl Default for Config {
    fn default() -> Self {
        let folder = "/var/lib/commandcenter/logs".into();
        Self { folder, service_bytes_max: 200 << 20, total_bytes_max: 5 << 30, days: 7 }
    }
}

/// The logs of all projects; cheap to clone.
#[derive(Clone)]
pub struct Logs {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    /// While this process writes.
    owned: Mutex<Option<Owned>>,
    redactors: Mutex<HashMap<ProjectId, Arc<Current>>>,
    reads: Semaphore,
    attach: mpsc::Sender<Attach>,
    /// By container: the stop up to which its reader has read everything.
    readers: Mutex<HashMap<String, watch::Receiver<Rest>>>,
    attached: tokio::sync::Mutex<mpsc::Receiver<Attach>>,
}

/// When a container stopped that was read to its end; `None` while it runs or is being read.
type Rest = Option<DateTime<Utc>>;

struct Owned {
    _lock: File,
    projects: HashMap<ProjectId, Arc<Project>>,
}

struct Attach {
    project: ProjectId,
    service: String,
    container: String,
    docker: Client,
}

impl Logs {
    /// Nothing is read or written before [`Logs::run`].
    #[must_use]
    pub fn new(config: Config) -> Self {
        let (attach, attached) = mpsc::channel(ATTACH_MAX);
        let (owned, reads) = (Mutex::default(), Semaphore::new(READS_MAX));
        let attached = tokio::sync::Mutex::new(attached);
        let (redactors, readers) = (Mutex::default(), Mutex::default());
        let inner = Inner { config, owned, redactors, reads, attach, readers, attached };
        Self { inner: Arc::new(inner) }
    }

    /// Reads a container's log into its service's from where that ends. Say it again with every
    /// look: a reader that rests is woken, and one that could not begin tries again.
    pub fn attach(&self, project: ProjectId, service: &str, container: &str, docker: &Client) {
        let (service, container) = (service.to_owned(), container.to_owned());
        let attach = Attach { project, service, container, docker: docker.clone() };
        // While another process has the folder, nobody takes them, and the next look repeats it.
        self.inner.attach.try_send(attach).ok();
    }

    /// Waits until everything is stored that a container wrote before it stopped; `false` when
    /// that takes longer than `patience`. Nothing is waited for where nobody reads it.
    pub async fn drained(
        &self,
        container: &str,
        stopped_at: DateTime<Utc>,
        patience: Duration,
    ) -> bool {
        let Some(mut reader) = self.readers().get(container).cloned() else { return true };
        let read = reader.wait_for(|rest| *rest == Some(stopped_at));
        // A reader that ends has found that there is no container any more.
        tokio::time::timeout(patience, read).await.is_ok()
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

    /// Blacks out secrets in what a project's services write from now on.
    pub fn redact(&self, project: ProjectId, redactor: Redactor) {
        self.redactor(project).set(redactor);
    }

    /// What blacks out the secrets of a project, as [`Logs::redact`] set it last.
    #[must_use]
    pub fn redactor(&self, project: ProjectId) -> Arc<Current> {
        let mut redactors = self.inner.redactors.lock().unwrap_or_else(PoisonError::into_inner);
        redactors.entry(project).or_default().clone()
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
            let known = owned.as_mut().ok_or_else(stands_by)?.projects.remove(&project);
            known.inspect(|it| it.close());
            logs.inner.redactors.lock().unwrap_or_else(PoisonError::into_inner).remove(&project);
            match fs::remove_dir_all(logs.inner.config.folder.join(project.to_string())) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk(error)),
                _ => Ok(()),
            }
        })
        .await
    }

    /// A project's logs, opened when nobody has. Blocks.
    fn project(&self, id: ProjectId) -> Result<Arc<Project>, Failure> {
        let mut owned = self.owned();
        let owned = owned.as_mut().ok_or_else(stands_by)?;
        if let Some(project) = owned.projects.get(&id) {
            return Ok(project.clone());
        }
        let folder = self.inner.config.folder.join(id.to_string());
        let redactor = self.redactor(id);
        let project = Arc::new(Project::open(&folder, redactor).map_err(disk)?);
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

    fn readers(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<Rest>>> {
        self.inner.readers.lock().unwrap_or_else(PoisonError::into_inner)
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
