//! Reads the counters of every container that it is told of, every five seconds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chassis::Shutdown;
use futures::StreamExt as _;
use proto::ProjectId;
use tokio::time::{MissedTickBehavior, interval};

use super::Record;
use crate::docker::Client;

/// From one look to the next.
const PERIOD: Duration = Duration::from_secs(5);
/// Containers that are read at the same time; each takes some milliseconds of the Engine.
const READS_MAX: usize = 16;

/// What all services use; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    services: Arc<Mutex<BTreeMap<Service, Watched>>>,
}

/// A project and the name of one of its services.
type Service = (ProjectId, String);

#[derive(Debug, Default)]
struct Watched {
    /// Empty while none runs.
    container: String,
    record: Record,
}

impl Usage {
    /// The container that is the service now; empty when none runs. What was seen stays.
    pub fn watch(&self, project: ProjectId, service: &str, container: &str) {
        let mut services = self.services();
        let watched = services.entry((project, service.to_owned())).or_default();
        container.clone_into(&mut watched.container);
    }

    /// The kernel ended a process of the service for memory.
    pub fn killed_for_memory(&self, project: ProjectId, service: &str) {
        if let Some(watched) = self.services().get_mut(&(project, service.to_owned())) {
            watched.record.oom_kills = watched.record.oom_kills.saturating_add(1);
        }
    }

    /// What is known of a service.
    #[must_use]
    pub fn record(&self, project: ProjectId, service: &str) -> Option<Record> {
        let services = self.services();
        services.get(&(project, service.to_owned())).map(|watched| watched.record.clone())
    }

    /// Forgets every service of a project that `keep` does not want.
    pub fn retain(&self, project: ProjectId, keep: impl Fn(&str) -> bool) {
        self.services().retain(|(of, service), _| *of != project || keep(service));
    }

    /// Looks every five seconds until `shutdown`. A look that takes longer delays the next.
    ///
    /// # Errors
    /// Never; a container that cannot be read is left out of that look.
    pub async fn run(self, docker: Client, shutdown: Shutdown) -> anyhow::Result<()> {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let work = async {
            loop {
                ticks.tick().await;
                self.look(&docker).await;
            }
        };
        shutdown.run_until_cancelled(work).await;
        Ok(())
    }

    /// One look at every container that runs.
    pub async fn look(&self, docker: &Client) {
        let running: Vec<(Service, String)> = {
            let services = self.services();
            let running = services.iter().filter(|(_, watched)| !watched.container.is_empty());
            running.map(|(service, watched)| (service.clone(), watched.container.clone())).collect()
        };
        let reads = futures::stream::iter(running).map(async |(service, container)| {
            let reading = docker.reading(&container).await;
            (service, container, reading)
        });
        let mut reads = std::pin::pin!(reads.buffer_unordered(READS_MAX));
        while let Some((service, container, reading)) = reads.next().await {
            match reading {
                Ok(Some(reading)) => {
                    if let Some(watched) = self.services().get_mut(&service) {
                        watched.record.learn(&container, reading);
                    }
                }
                // It ended between the list and the look.
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, service = service.1, "usage could not be read");
                }
            }
        }
    }

    fn services(&self) -> MutexGuard<'_, BTreeMap<Service, Watched>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
