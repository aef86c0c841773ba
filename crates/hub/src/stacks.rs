//! Stacks: each project's containers. The orchestrator owns them; the hub names their projects,
//! checks who may, and records who changed what.

mod model;

pub(crate) use model::{Applied, Change, Changes, Compared, Stack};

use proto::{Failure, ProjectId, orchestrator::v1 as wire};
use serde_json::json;

use crate::{
    app::App,
    audit::{self, Act},
    clients::{ORCHESTRATOR, refused},
    identity::Identity,
    operations::Operation,
    projects::{self, Target},
    secrets,
};

/// What a button or a command does to a whole stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Start,
    Stop,
    Restart,
}

/// A project's stack.
pub(crate) async fn get(app: &App, who: &Identity, project: &str) -> Result<Stack, Failure> {
    let project_id = projects::readable(app, who, project).await?.id.to_string();
    let answer = app.clients.stacks(who)?.get_stack(wire::GetStackRequest { project_id }).await;
    Ok(answer.map_err(refused(ORCHESTRATOR))?.into_inner().into())
}

/// Whether a project has a stack, as far as the orchestrator can tell.
pub(crate) async fn any(app: &App, who: &Identity, project: ProjectId) -> bool {
    let Ok(mut client) = app.clients.stacks(who) else { return false };
    client.get_stack(wire::GetStackRequest { project_id: project.to_string() }).await.is_ok()
}

/// Declares what a project's stack is: its secrets first, then the stack itself. Makes the project
/// when it is the first write there.
pub(crate) async fn apply(
    app: &App,
    who: &Identity,
    project: &str,
    applied: Applied,
) -> Result<Operation, Failure> {
    who.require_role(chassis::caller::Role::Operator)?;
    applied.check()?;
    let target = projects::ensure(app, who, project).await?;
    match apply_to(app, who, &target, applied).await {
        Ok(operation) => Ok(operation),
        Err(failure) => {
            projects::withdraw(app, who, &target, &failure).await;
            Err(failure)
        }
    }
}

async fn apply_to(
    app: &App,
    who: &Identity,
    target: &Target,
    applied: Applied,
) -> Result<Operation, Failure> {
    for (name, value) in applied.secrets {
        secrets::put_into(app, who, target, name, value).await?;
    }
    let images = json!({ "images": model::images(&applied.spec) });
    let project_id = target.id.to_string();
    let request = wire::ApplyStackRequest { project_id, spec: Some(applied.spec) };
    let answer = app.clients.stacks(who)?.apply_stack(request).await;
    let operation = Operation::from(answer.map_err(refused(ORCHESTRATOR))?.into_inner());
    let act = Act::new("stack.apply", &target.slug, &operation.id).of(Some(target.id));
    audit::record_done(app, who, act.made(&images)).await;
    Ok(operation)
}

/// What applying a spec would change.
pub(crate) async fn diff(
    app: &App,
    who: &Identity,
    project: &str,
    compared: Compared,
) -> Result<Changes, Failure> {
    model::check_spec(&compared.spec)?;
    let project_id = projects::readable(app, who, project).await?.id.to_string();
    let request = wire::DiffStackRequest { project_id, spec: Some(compared.spec) };
    let answer = app.clients.stacks(who)?.diff_stack(request).await;
    let changes = answer.map_err(refused(ORCHESTRATOR))?.into_inner().changes;
    Ok(Changes { changes: changes.into_iter().map(Change::from).collect() })
}

/// Starts, stops or restarts a stack.
pub(crate) async fn act(
    app: &App,
    who: &Identity,
    project: &str,
    verb: Verb,
) -> Result<Operation, Failure> {
    let target = projects::changeable(app, who, project).await?;
    let project_id = target.id.to_string();
    let mut client = app.clients.stacks(who)?;
    let (action, answer) = match verb {
        Verb::Start => {
            ("stack.start", client.start_stack(wire::StartStackRequest { project_id }).await)
        }
        Verb::Stop => {
            ("stack.stop", client.stop_stack(wire::StopStackRequest { project_id }).await)
        }
        Verb::Restart => {
            ("stack.restart", client.restart_stack(wire::RestartStackRequest { project_id }).await)
        }
    };
    let operation = Operation::from(answer.map_err(refused(ORCHESTRATOR))?.into_inner());
    let act = Act::new(action, &target.slug, &operation.id).of(Some(target.id));
    audit::record_done(app, who, act).await;
    Ok(operation)
}

/// Removes a stack's containers and networks; its volumes only when asked.
pub(crate) async fn remove(
    app: &App,
    who: &Identity,
    project: &str,
    volumes: bool,
) -> Result<Operation, Failure> {
    let target = projects::changeable(app, who, project).await?;
    let request = wire::RemoveStackRequest { project_id: target.id.to_string(), volumes };
    let answer = app.clients.stacks(who)?.remove_stack(request).await;
    let operation = Operation::from(answer.map_err(refused(ORCHESTRATOR))?.into_inner());
    let act = Act::new("stack.remove", &target.slug, &operation.id).of(Some(target.id));
    audit::record_done(app, who, act.made(&json!({ "volumes": volumes }))).await;
    Ok(operation)
}

/// Restarts one service, and resets its crash loop.
pub(crate) async fn restart_service(
    app: &App,
    who: &Identity,
    project: &str,
    service: &str,
) -> Result<Operation, Failure> {
    let target = projects::changeable(app, who, project).await?;
    let request = wire::RestartServiceRequest {
        project_id: target.id.to_string(),
        service: service.to_owned(),
    };
    let answer = app.clients.stacks(who)?.restart_service(request).await;
    let operation = Operation::from(answer.map_err(refused(ORCHESTRATOR))?.into_inner());
    let act = Act::new("service.restart", service, &operation.id).of(Some(target.id));
    audit::record_done(app, who, act).await;
    Ok(operation)
}
