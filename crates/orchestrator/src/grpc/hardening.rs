//! How hardened a stack is, looked at when somebody asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chassis::caller::{Caller, Role};
use futures::future::try_join_all;
use proto::orchestrator::v1;
use proto::{Failure, Reason};

use super::stacks::{find, permit};
use crate::app::App;
use crate::docker::Error;
use crate::hardening::seen::{self, Seen};
use crate::hardening::{Check, Report, Scene, report};
use crate::naming;
use crate::observe::observe;
use crate::observed::{Container, Observed};
use crate::spec::Service;

pub(super) async fn get(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::GetHardeningRequest,
) -> Result<v1::GetHardeningResponse, Failure> {
    let project = permit(&caller, &request.project_id, Role::Viewer)?;
    let (row, stack) = find(app, project).await?;
    let user = app.config.user(row.number);
    let naming = app.naming(project);
    // Each look starts a helper; one at a time is enough for everybody who asks.
    let place = app.project(project);
    let _turn = place.hardening.lock().await;
    let observed = observe(&app.docker, &naming).await.map_err(unreachable)?;
    let isolation = app.isolation.keep(&app.docker, naming.owner).await;
    let seen = processes(app, &observed).await.map_err(unreachable)?;
    let reports = stack.services.values().map(async |service| {
        let container = container(&observed, service);
        let told = match container {
            Some(container) => app.docker.told(&container.id).await?,
            None => None,
        };
        let networks: BTreeSet<String> =
            service.networks.iter().map(|it| naming.network(&it.network)).collect();
        Ok(report(&Scene {
            service,
            user: service.hardening.user.unwrap_or(user),
            networks: &networks,
            container,
            told: told.as_ref(),
            isolation: &isolation,
            seen: container.and_then(|it| seen.get(&it.pid)),
        }))
    });
    let reports = try_join_all(reports).await.map_err(unreachable)?;
    Ok(v1::GetHardeningResponse { services: reports.into_iter().map(wire).collect() })
}

/// The one that runs, or any.
fn container<'a>(observed: &'a Observed, service: &'a Service) -> Option<&'a Container> {
    observed.of(&service.name).max_by_key(|it| (it.is_up(), it.created_at))
}

/// What the kernel says of every container's first process.
async fn processes(app: &App, observed: &Observed) -> Result<BTreeMap<i64, Seen>, Error> {
    let up = observed.containers.iter().filter(|it| it.is_up() && !it.is_helper());
    let pids: Vec<i64> = up.map(|it| it.pid).filter(|pid| *pid > 0).collect();
    if pids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let labels = naming::helper_labels(app.owner().unwrap_or_default());
    Ok(seen::read(&app.docker.processes(&pids, &labels).await?))
}

fn unreachable(error: Error) -> Failure {
    Failure::new(Reason::Unavailable, format!("the containers cannot be looked at: {error}"))
}

fn wire(report: Report) -> v1::HardeningReport {
    let hardened = report.is_hardened();
    let check = |it: Check| v1::HardeningCheck {
        name: it.name.to_owned(),
        wanted: it.wanted,
        found: it.found,
        verdict: it.verdict.as_str().to_owned(),
    };
    let checks = report.checks.into_iter().map(check).collect();
    v1::HardeningReport { service: report.service, hardened, checks }
}
