//! Whether each container is as hard to misuse as it was declared.

use proto::{Failure, orchestrator::v1 as wire};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    clients::{ORCHESTRATOR, refused},
    identity::Identity,
    projects,
};

/// What was read back of one service's container.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct HardeningReport {
    /// The service.
    pub(crate) service: String,
    /// Whether every check was kept or is a declared exception.
    pub(crate) hardened: bool,
    /// Each check.
    pub(crate) checks: Vec<HardeningCheck>,
}

/// One fact of a container.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct HardeningCheck {
    /// What is looked at.
    pub(crate) name: String,
    /// What it shall be.
    pub(crate) wanted: String,
    /// What it is.
    pub(crate) found: String,
    /// `kept`, `broken`, `excepted` or `unknown`.
    pub(crate) verdict: String,
}

impl From<wire::HardeningReport> for HardeningReport {
    fn from(report: wire::HardeningReport) -> Self {
        let check = |check: wire::HardeningCheck| HardeningCheck {
            name: check.name,
            wanted: check.wanted,
            found: check.found,
            verdict: check.verdict,
        };
        Self {
            service: report.service,
            hardened: report.hardened,
            checks: report.checks.into_iter().map(check).collect(),
        }
    }
}

/// The report of each service of a project.
pub(crate) async fn report(
    app: &App,
    who: &Identity,
    project: &str,
) -> Result<Vec<HardeningReport>, Failure> {
    let project_id = projects::readable(app, who, project).await?.id.to_string();
    let request = wire::GetHardeningRequest { project_id };
    let answer = app.clients.health(who)?.get_hardening(request).await;
    let services = answer.map_err(refused(ORCHESTRATOR))?.into_inner().services;
    Ok(services.into_iter().map(HardeningReport::from).collect())
}
