//! Health as REST shows it.

use chrono::{DateTime, Utc};
use proto::{orchestrator::v1 as wire, time::from_wire};
use serde::Serialize;
use utoipa::ToSchema;

/// How a stack does.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct StackHealth {
    /// The project it belongs to.
    pub(crate) project_id: String,
    /// `ready`, `starting`, `degraded`, `failed`, `stopped` or `unknown`.
    pub(crate) status: String,
    /// Why; empty when there is nothing to say.
    pub(crate) reason: String,
    /// Of the spec that this is about.
    pub(crate) generation: u64,
    /// Each service.
    pub(crate) services: Vec<ServiceHealth>,
    /// When it was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) observed_at: Option<DateTime<Utc>>,
}

/// How one service does.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ServiceHealth {
    /// Its name.
    pub(crate) name: String,
    /// `ready`, `starting`, `degraded`, `failed`, `stopped` or `unknown`.
    pub(crate) status: String,
    /// A stable name, such as `STARTUP_TIMEOUT`; empty when there is nothing to say.
    pub(crate) reason: String,
    /// Why, for a person.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: String,
    /// Its container; empty when there is none.
    pub(crate) container_id: String,
    /// The image that it runs.
    pub(crate) image: String,
    /// When the container began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) started_at: Option<DateTime<Utc>>,
    /// Since it was last stable.
    pub(crate) restarts: u32,
    /// When it is started again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_restart_at: Option<DateTime<Utc>>,
    /// What it ended with; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exit_code: Option<i64>,
    /// The last outputs of its probes, newest first; at most 5 of a kind.
    pub(crate) probes: Vec<ProbeOutput>,
    /// Addresses where it is reached from the host.
    pub(crate) published: Vec<String>,
}

/// What one run of a probe said.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ProbeOutput {
    /// `startup`, `readiness` or `liveness`.
    pub(crate) probe: String,
    /// `success`, `failure` or `unknown`.
    pub(crate) verdict: String,
    /// What it said; secrets are blacked out.
    pub(crate) output: String,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<DateTime<Utc>>,
    /// How long it took, such as `0.012s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) took: Option<String>,
}

impl From<wire::StackHealth> for StackHealth {
    fn from(health: wire::StackHealth) -> Self {
        Self {
            observed_at: health.observed_at.as_ref().and_then(from_wire),
            project_id: health.project_id,
            status: health.status,
            reason: health.reason,
            generation: health.generation,
            services: health.services.into_iter().map(ServiceHealth::from).collect(),
        }
    }
}

impl From<wire::ServiceHealth> for ServiceHealth {
    fn from(health: wire::ServiceHealth) -> Self {
        Self {
            started_at: health.started_at.as_ref().and_then(from_wire),
            next_restart_at: health.next_restart_at.as_ref().and_then(from_wire),
            name: health.name,
            status: health.status,
            reason: health.reason,
            message: health.message,
            hint: health.hint,
            container_id: health.container_id,
            image: health.image,
            restarts: health.restarts,
            exit_code: health.exit_code,
            probes: health.probes.into_iter().map(ProbeOutput::from).collect(),
            published: health.published,
        }
    }
}

impl From<wire::ProbeOutput> for ProbeOutput {
    fn from(output: wire::ProbeOutput) -> Self {
        Self {
            at: output.at.as_ref().and_then(from_wire),
            took: output.took.map(|took| took.to_string()),
            probe: output.probe,
            verdict: output.verdict,
            output: output.output,
        }
    }
}
