//! How stacks do, now and as it changes.

mod model;

pub(crate) use model::{ProbeOutput, StackHealth};

use futures::{Stream, StreamExt as _};
use proto::{Failure, orchestrator::v1 as wire};

use crate::{
    app::App,
    clients::{ORCHESTRATOR, refused},
    identity::Identity,
    projects,
};

/// How a project's stack does.
pub(crate) async fn get(app: &App, who: &Identity, project: &str) -> Result<StackHealth, Failure> {
    let project_id = projects::readable(app, who, project).await?.id.to_string();
    let answer = app.clients.health(who)?.get_health(wire::GetHealthRequest { project_id }).await;
    Ok(answer.map_err(refused(ORCHESTRATOR))?.into_inner().into())
}

/// How a project's stack does, then each change.
pub(crate) async fn watch(
    app: &App,
    who: &Identity,
    project: &str,
) -> Result<impl Stream<Item = Result<StackHealth, Failure>> + use<>, Failure> {
    let project_id = projects::readable(app, who, project).await?.id.to_string();
    let request = wire::WatchHealthRequest { project_id };
    let answer = app.clients.health(who)?.watch_health(request).await;
    let changes = answer.map_err(refused(ORCHESTRATOR))?.into_inner();
    Ok(changes.map(|change| change.map(StackHealth::from).map_err(refused(ORCHESTRATOR))))
}
