//! What services use of their limits.

use chrono::{DateTime, Utc};
use proto::{Failure, orchestrator::v1 as wire, time::from_wire};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    clients::{ORCHESTRATOR, refused},
    identity::Identity,
    projects,
};

/// What the services of a stack use.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct StackResources {
    /// The project it belongs to.
    pub(crate) project_id: String,
    /// Each service.
    pub(crate) services: Vec<ServiceResources>,
}

/// What one service uses, beside its limits; a limit of 0 is not known.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ServiceResources {
    /// Its name.
    pub(crate) name: String,
    /// When it was measured; absent when it was not yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<DateTime<Utc>>,
    /// Thousandths of a CPU.
    pub(crate) cpu_millis: f64,
    /// Thousandths of a CPU.
    pub(crate) cpu_limit_millis: u64,
    /// The working set.
    pub(crate) memory_bytes: u64,
    /// The most that was seen.
    pub(crate) memory_peak_bytes: u64,
    /// The limit, with swap.
    pub(crate) memory_limit_bytes: u64,
    /// Processes and threads.
    pub(crate) pids: u64,
    /// Processes and threads.
    pub(crate) pids_limit: u64,
    /// Since the container began.
    pub(crate) network_received_bytes: u64,
    /// Since the container began.
    pub(crate) network_sent_bytes: u64,
    /// Since the container began.
    pub(crate) disk_read_bytes: u64,
    /// Since the container began.
    pub(crate) disk_written_bytes: u64,
    /// How often the kernel ended a process for its memory.
    pub(crate) oom_kills: u64,
}

impl ServiceResources {
    /// Processor time used, in whole thousandths of a CPU.
    pub(crate) fn cpu(&self) -> u64 {
        // A measured share of processors is small and not negative; the cast saturates.
        self.cpu_millis.round() as u64
    }
}

impl From<wire::ServiceResources> for ServiceResources {
    fn from(it: wire::ServiceResources) -> Self {
        Self {
            at: it.at.as_ref().and_then(from_wire),
            name: it.name,
            cpu_millis: it.cpu_millis,
            cpu_limit_millis: it.cpu_limit_millis,
            memory_bytes: it.memory_bytes,
            memory_peak_bytes: it.memory_peak_bytes,
            memory_limit_bytes: it.memory_limit_bytes,
            pids: it.pids,
            pids_limit: it.pids_limit,
            network_received_bytes: it.network_received_bytes,
            network_sent_bytes: it.network_sent_bytes,
            disk_read_bytes: it.disk_read_bytes,
            disk_written_bytes: it.disk_written_bytes,
            oom_kills: it.oom_kills,
        }
    }
}

/// What the services of a project use.
pub(crate) async fn get(
    app: &App,
    who: &Identity,
    project: &str,
) -> Result<StackResources, Failure> {
    let project_id = projects::readable(app, who, project).await?.id.to_string();
    let request = wire::GetResourcesRequest { project_id };
    let answer = app.clients.health(who)?.get_resources(request).await;
    let answer = answer.map_err(refused(ORCHESTRATOR))?.into_inner();
    Ok(StackResources {
        project_id: answer.project_id,
        services: answer.services.into_iter().map(ServiceResources::from).collect(),
    })
}
