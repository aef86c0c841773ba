//! What goes on in the process that has the logs: a reader for each container, and retention.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chassis::Shutdown;
use chrono::Utc;
use proto::Failure;
use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::reader::Reader;
use super::{Attach, Config, LOCK_INTERVAL, Logs, Owned, disk};

/// How often logs are cut down to their limits.
const RETAIN_INTERVAL: Duration = Duration::from_secs(60);

/// Held by the one process that writes.
const LOCK_FILE: &str = ".lock";

/// How to wake the reader of a container, and its task.
type Known = HashMap<String, (Arc<Notify>, Id)>;

impl Logs {
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
                    Ok(container) => {
                        known.remove(&container);
                        self.readers().remove(&container);
                    }
                    Err(error) => {
                        tracing::error!(%error, "the reader of a log ended");
                        known.retain(|_, (_, task)| *task != error.id());
                        self.readers().retain(|container, _| known.contains_key(container));
                    }
                },
                _ = retain.tick() => self.retain().await,
            }
        }
        while readers.join_next().await.is_some() {}
        if let Some(owned) = self.owned().take() {
            owned.projects.values().for_each(|project| project.close());
        }
        Ok(())
    }

    /// Waits for the folder; `false` when we were asked to stop first.
    async fn own(&self, shutdown: &Shutdown) -> anyhow::Result<bool> {
        let folder = &self.inner.config.folder;
        let shown = folder.display();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(|| {
            format!("the folder of logs {shown} cannot be made: set orchestrator.logs.folder")
        })?;
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
        let rest = watch::Sender::new(None);
        self.readers().insert(id.clone(), rest.subscribe());
        let reader = Reader { project, service, container, docker, wake: wake.clone(), rest };
        let shutdown = shutdown.clone();
        let task = readers.spawn(async move {
            reader.run(shutdown).await;
            reader.container
        });
        known.insert(id, (wake, task.id()));
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
        let Config { folder, service_bytes_max, total_bytes_max, days } = &self.inner.config;
        let age = chrono::TimeDelta::days(i64::from(*days));
        let before = (Utc::now() - age).timestamp_nanos_opt().unwrap_or_default();
        let mut services = Vec::new();
        for entry in fs::read_dir(folder).map_err(disk)? {
            let name = entry.map_err(disk)?.file_name();
            if let Some(id) = name.to_str().and_then(|name| name.parse().ok()) {
                match self.project(id) {
                    Ok(project) => services.extend(project.services()),
                    // The others are kept within their limits all the same.
                    Err(error) => tracing::warn!(%error, project = %id, "a log cannot be opened"),
                }
            }
        }
        for service in &services {
            service.timeline.retain(*service_bytes_max, before);
        }
        let mut total: u64 = services.iter().map(|it| it.timeline.bytes()).sum();
        // Of all services, the oldest goes first, one segment at a time.
        while total > *total_bytes_max {
            let oldest = services.iter().enumerate();
            let oldest = oldest.filter_map(|(at, it)| Some((it.timeline.oldest()?, at))).min();
            let Some((_, at)) = oldest else { break };
            let timeline = &services[at].timeline;
            let removed = timeline.retain(timeline.bytes().saturating_sub(1), before);
            if removed == 0 {
                // Its oldest segment is being sealed now.
                services.swap_remove(at);
            }
            total = total.saturating_sub(removed);
        }
        Ok(())
    }
}
