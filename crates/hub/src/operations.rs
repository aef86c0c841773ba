//! Operations on stacks: what was asked for, and how it goes.

mod model;

pub(crate) use model::Operation;

use futures::{Stream, StreamExt as _};
use proto::{Failure, OperationId, orchestrator::v1 as wire};

use crate::{
    app::App,
    clients::{ORCHESTRATOR, refused},
    identity::Identity,
    projects,
};

/// Operations of a project, newest first, without their steps; and where the next page begins.
pub(crate) async fn list(
    app: &App,
    who: &Identity,
    project: &str,
    page_size: u32,
    page_token: String,
) -> Result<(Vec<Operation>, String), Failure> {
    let project_id = projects::readable(app, who, project).await?.id.to_string();
    let request = wire::ListOperationsRequest { project_id, page_size, page_token };
    let answer = app.clients.operations(who)?.list_operations(request).await;
    let answer = answer.map_err(refused(ORCHESTRATOR))?.into_inner();
    let operations = answer.operations.into_iter().map(Operation::from).collect();
    Ok((operations, answer.next_page_token))
}

/// One operation with its steps.
pub(crate) async fn get(app: &App, who: &Identity, id: &str) -> Result<Operation, Failure> {
    let id = OperationId::parse("id", id)?.to_string();
    let answer = app.clients.operations(who)?.get_operation(wire::GetOperationRequest { id }).await;
    Ok(answer.map_err(refused(ORCHESTRATOR))?.into_inner().into())
}

/// One operation of a project.
pub(crate) async fn of_project(
    app: &App,
    who: &Identity,
    project: &str,
    id: &str,
) -> Result<Operation, Failure> {
    let project = projects::readable(app, who, project).await?.id.to_string();
    let operation = get(app, who, id).await?;
    if operation.project_id == project {
        return Ok(operation);
    }
    Err(Failure::not_found("operation", id))
}

/// An operation of a project as it is, then after each step, until it ends.
pub(crate) async fn watch(
    app: &App,
    who: &Identity,
    project: &str,
    id: &str,
) -> Result<impl Stream<Item = Result<Operation, Failure>> + use<>, Failure> {
    let id = of_project(app, who, project, id).await?.id;
    let request = wire::WatchOperationRequest { id };
    let answer = app.clients.operations(who)?.watch_operation(request).await;
    let changes = answer.map_err(refused(ORCHESTRATOR))?.into_inner();
    Ok(changes.map(|change| change.map(Operation::from).map_err(refused(ORCHESTRATOR))))
}
