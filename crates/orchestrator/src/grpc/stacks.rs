//! What callers ask of stacks. The wish and its operation commit together; then the answer goes
//! out, and whoever reconciles is woken.

use std::sync::Arc;

use chassis::caller::{Caller, Role};
use chrono::Utc;
use database::failure;
use prost::Message as _;
use proto::orchestrator::v1;
use proto::{Failure, ProjectId, Reason};
use sqlx::PgConnection;

use super::wire;
use crate::app::App;
use crate::db;
use crate::db::stack::Stack as Row;
use crate::operation::{Kind, New};
use crate::plan::Wish;
use crate::spec::{self, Stack};

/// The project that a request names, for a caller with this role.
pub(super) fn permit(caller: &Caller, project: &str, role: Role) -> Result<ProjectId, Failure> {
    let project = ProjectId::parse("project_id", project)?;
    caller.require(role, project)?;
    Ok(project)
}

pub(super) async fn apply(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::ApplyStackRequest,
) -> Result<v1::Operation, Failure> {
    let project = permit(&caller, &request.project_id, Role::Operator)?;
    let stack = read(app, request.spec)?;
    let bytes = spec::write(&stack).encode_to_vec();
    let new = New { kind: Kind::Apply, service: "", actor: &caller.name };
    operate(app, project, new, async |conn| {
        db::secret::lock(conn, project).await.map_err(failure)?;
        let known = db::secret::list(&mut *conn, project).await.map_err(failure)?;
        stack.check_secrets(&known.into_iter().map(|it| it.name).collect())?;
        db::stack::apply(conn, project, &bytes, Utc::now()).await.map(Some).map_err(failure)
    })
    .await
}

fn read(app: &App, spec: Option<v1::StackSpec>) -> Result<Stack, Failure> {
    let spec = spec.ok_or_else(|| Failure::invalid("spec", "spec is missing"))?;
    spec::read(spec, &app.config.limits())
}

pub(super) async fn start(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::StartStackRequest,
) -> Result<v1::Operation, Failure> {
    let project = permit(&caller, &request.project_id, Role::Operator)?;
    wish(app, &caller, project, Kind::Start, Wish::Running).await
}

pub(super) async fn stop(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::StopStackRequest,
) -> Result<v1::Operation, Failure> {
    let project = permit(&caller, &request.project_id, Role::Operator)?;
    wish(app, &caller, project, Kind::Stop, Wish::Stopped).await
}

pub(super) async fn remove(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::RemoveStackRequest,
) -> Result<v1::Operation, Failure> {
    let project = permit(&caller, &request.project_id, Role::Operator)?;
    let wished = Wish::Removed { volumes: request.volumes };
    wish(app, &caller, project, Kind::Remove, wished).await
}

pub(super) async fn wish(
    app: &Arc<App>,
    caller: &Caller,
    project: ProjectId,
    kind: Kind,
    wish: Wish,
) -> Result<v1::Operation, Failure> {
    let new = New { kind, service: "", actor: &caller.name };
    operate(app, project, new, async |conn| {
        db::stack::wish(conn, project, wish, Utc::now()).await.map_err(failure)
    })
    .await
}

pub(super) async fn restart(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::RestartStackRequest,
) -> Result<v1::Operation, Failure> {
    let project = permit(&caller, &request.project_id, Role::Operator)?;
    let (row, stack) = find(app, project).await?;
    shall_run(&row)?;
    let services: Vec<String> = stack.services.into_keys().collect();
    again(app, &caller, project, Kind::Restart, &services).await
}

pub(super) async fn restart_service(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::RestartServiceRequest,
) -> Result<v1::Operation, Failure> {
    let project = permit(&caller, &request.project_id, Role::Operator)?;
    let (row, stack) = find(app, project).await?;
    shall_run(&row)?;
    if !stack.services.contains_key(&request.service) {
        let names: Vec<&str> = stack.services.keys().map(String::as_str).collect();
        let message = format!(
            "there is no service {:?} in the stack; it has {}",
            request.service,
            names.join(", ")
        );
        return Err(Failure { message, ..Failure::not_found("service", &request.service) });
    }
    again(app, &caller, project, Kind::RestartService, &[request.service]).await
}

async fn again(
    app: &Arc<App>,
    caller: &Caller,
    project: ProjectId,
    kind: Kind,
    services: &[String],
) -> Result<v1::Operation, Failure> {
    let service = if kind == Kind::RestartService { &*services[0] } else { "" };
    let new = New { kind, service, actor: &caller.name };
    operate(app, project, new, async |conn| {
        let row = db::stack::restart(conn, project, services, Utc::now()).await.map_err(failure)?;
        // Somebody stopped or removed it meanwhile.
        row.map(Some).ok_or_else(stopped)
    })
    .await
}

/// Of a stack that shall not run, nothing is restarted.
fn shall_run(row: &Row) -> Result<(), Failure> {
    match row.wish() {
        Wish::Running => Ok(()),
        Wish::Stopped => Err(stopped()),
        Wish::Removed { .. } => Err(no_stack(row.project_id)),
    }
}

fn stopped() -> Failure {
    let message = "the stack is stopped: start it with `commandcenter stack start`";
    Failure::new(Reason::Conflict, message)
}

/// Commits a wish with its operation, and wakes whoever reconciles.
async fn operate(
    app: &Arc<App>,
    project: ProjectId,
    new: New<'_>,
    change: impl AsyncFnOnce(&mut PgConnection) -> Result<Option<Row>, Failure>,
) -> Result<v1::Operation, Failure> {
    let mut tx = app.pool.begin().await.map_err(failure)?;
    let row = change(&mut tx).await?;
    let row = row.ok_or_else(|| no_stack(project))?;
    let begun = async {
        let operation = db::operation::begin(&mut tx, project, row.version, &new).await?;
        tx.commit().await?;
        Ok(operation)
    };
    let operation = begun.await.map_err(failure)?;
    tracing::info!(
        project.id = %project,
        operation.id = %operation.id,
        kind = new.kind.as_str(),
        caller = new.actor,
        "a stack is to be changed"
    );
    app.changed(project);
    Ok(wire::operation(operation, Vec::new()))
}

/// A project's stack, which must be there.
pub(super) async fn find(app: &App, project: ProjectId) -> Result<(Row, Stack), Failure> {
    let row = db::stack::get(&app.pool, project).await.map_err(failure)?;
    let row = row.ok_or_else(|| no_stack(project))?;
    let wire = wire::spec(&row)?;
    let stack = spec::read(wire, &spec::Limits::widest())?;
    Ok((row, stack))
}

pub(super) fn no_stack(project: ProjectId) -> Failure {
    let message =
        format!("the project {project} has no stack: apply one with `commandcenter stack apply`");
    Failure { message, ..Failure::not_found("stack", project) }
}

pub(super) async fn get(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::GetStackRequest,
) -> Result<v1::Stack, Failure> {
    let project = permit(&caller, &request.project_id, Role::Viewer)?;
    let row = db::stack::get(&app.pool, project).await.map_err(failure)?;
    wire::stack(&row.ok_or_else(|| no_stack(project))?)
}

pub(super) async fn diff(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::DiffStackRequest,
) -> Result<v1::DiffStackResponse, Failure> {
    let project = permit(&caller, &request.project_id, Role::Viewer)?;
    let new = read(app, request.spec)?;
    let row = db::stack::get(&app.pool, project).await.map_err(failure)?;
    // Of a removed stack nothing is there.
    let old = match row.filter(|it| !matches!(it.wish(), Wish::Removed { .. })) {
        Some(row) => spec::read(wire::spec(&row)?, &spec::Limits::widest())?,
        None => Stack::default(),
    };
    let changes = crate::diff::diff(&old, &new).into_iter().map(wire::change);
    Ok(v1::DiffStackResponse { changes: changes.collect() })
}
