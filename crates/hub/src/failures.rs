//! What is known about each end of a service.

use chrono::{DateTime, Utc};
use proto::{Failure as Refusal, orchestrator::v1 as wire, time::from_wire};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    clients::{ORCHESTRATOR, refused},
    health::ProbeOutput,
    identity::Identity,
    projects,
    resources::ServiceResources,
};

/// One end of a service, and what led to it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Failure {
    /// Its id.
    pub(crate) id: String,
    /// The service.
    pub(crate) service: String,
    /// A stable name, such as `STARTUP_TIMEOUT`.
    pub(crate) reason: String,
    /// What happened.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: String,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<DateTime<Utc>>,
    /// What the main process ended with; absent when it did not end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exit_code: Option<i64>,
    /// Whether the kernel ended it for its memory.
    pub(crate) out_of_memory: bool,
    /// The most memory that was seen.
    pub(crate) memory_peak_bytes: u64,
    /// The last lines of its log, at most 200.
    pub(crate) last_lines: Vec<String>,
    /// The last outputs of its probes, newest first.
    pub(crate) probes: Vec<ProbeOutput>,
    /// The last minute.
    pub(crate) usage: Vec<ServiceResources>,
    /// The operation that it happened in; empty when in none.
    pub(crate) operation_id: String,
    /// Which start in a row it was.
    pub(crate) attempt: u32,
}

impl From<wire::Failure> for Failure {
    fn from(failure: wire::Failure) -> Self {
        Self {
            at: failure.at.as_ref().and_then(from_wire),
            id: failure.id,
            service: failure.service,
            reason: failure.reason,
            message: failure.message,
            hint: failure.hint,
            exit_code: failure.exit_code,
            out_of_memory: failure.out_of_memory,
            memory_peak_bytes: failure.memory_peak_bytes,
            last_lines: failure.last_lines,
            probes: failure.probes.into_iter().map(ProbeOutput::from).collect(),
            usage: failure.usage.into_iter().map(ServiceResources::from).collect(),
            operation_id: failure.operation_id,
            attempt: failure.attempt,
        }
    }
}

/// Failures of a project, newest first, and where the next page begins.
pub(crate) async fn list(
    app: &App,
    who: &Identity,
    project: &str,
    service: String,
    page_size: u32,
    page_token: String,
) -> Result<(Vec<Failure>, String), Refusal> {
    let project_id = projects::readable(app, who, project).await?.id.to_string();
    let request = wire::ListFailuresRequest { project_id, service, page_size, page_token };
    let answer = app.clients.health(who)?.list_failures(request).await;
    let answer = answer.map_err(refused(ORCHESTRATOR))?.into_inner();
    Ok((answer.failures.into_iter().map(Failure::from).collect(), answer.next_page_token))
}
