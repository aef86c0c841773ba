//! `/api/projects/{id}/stack` and the services in it.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::App,
    error::{Problem, ProblemBody},
    identity::Identity,
    operations::Operation,
    routes::extract::{Json, Query},
    stacks::{self, Applied, Changes, Compared, Stack, Verb},
};

/// What to do with what is kept.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Removal {
    /// True: volumes with their data go too.
    volumes: bool,
}

type Accepted = (StatusCode, axum::Json<Operation>);

fn accepted(operation: Operation) -> Accepted {
    (StatusCode::ACCEPTED, axum::Json(operation))
}

/// The effective spec of a project's stack, every default filled in.
#[utoipa::path(get, path = "/api/projects/{id}/stack", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 200, body = Stack), (status = "4XX", body = ProblemBody)))]
pub(super) async fn get(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<axum::Json<Stack>, Problem> {
    Ok(axum::Json(stacks::get(&app, &who, &id).await?))
}

/// Declares what a project's stack is; its secrets are put first. The same spec again changes
/// nothing. Operators; an operator of all projects makes a new project by naming it.
#[utoipa::path(put, path = "/api/projects/{id}/stack", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug")), request_body = Applied,
    responses((status = 202, body = Operation), (status = "4XX", body = ProblemBody)))]
pub(super) async fn apply(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
    Json(applied): Json<Applied>,
) -> Result<Accepted, Problem> {
    Ok(accepted(stacks::apply(&app, &who, &id, applied).await?))
}

/// Removes a stack's containers and networks; volumes only when asked. Operators.
#[utoipa::path(delete, path = "/api/projects/{id}/stack", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug"), Removal),
    responses((status = 202, body = Operation), (status = "4XX", body = ProblemBody)))]
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
    Query(removal): Query<Removal>,
) -> Result<Accepted, Problem> {
    Ok(accepted(stacks::remove(&app, &who, &id, removal.volumes).await?))
}

/// What applying a spec would change, without doing it.
#[utoipa::path(post, path = "/api/projects/{id}/stack/diff", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug")), request_body = Compared,
    responses((status = 200, body = Changes), (status = "4XX", body = ProblemBody)))]
pub(super) async fn diff(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
    Json(compared): Json<Compared>,
) -> Result<axum::Json<Changes>, Problem> {
    Ok(axum::Json(stacks::diff(&app, &who, &id, compared).await?))
}

/// Starts what was applied. Operators.
#[utoipa::path(post, path = "/api/projects/{id}/stack/start", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 202, body = Operation), (status = "4XX", body = ProblemBody)))]
pub(super) async fn start(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<Accepted, Problem> {
    Ok(accepted(stacks::act(&app, &who, &id, Verb::Start).await?))
}

/// Stops the containers in reverse order and keeps them. Operators.
#[utoipa::path(post, path = "/api/projects/{id}/stack/stop", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 202, body = Operation), (status = "4XX", body = ProblemBody)))]
pub(super) async fn stop(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<Accepted, Problem> {
    Ok(accepted(stacks::act(&app, &who, &id, Verb::Stop).await?))
}

/// Stops and starts every service in order. Operators.
#[utoipa::path(post, path = "/api/projects/{id}/stack/restart", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 202, body = Operation), (status = "4XX", body = ProblemBody)))]
pub(super) async fn restart(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<Accepted, Problem> {
    Ok(accepted(stacks::act(&app, &who, &id, Verb::Restart).await?))
}

/// Restarts one service, and resets its crash loop. Operators.
#[utoipa::path(post, path = "/api/projects/{id}/services/{service}/restart", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug"), ("service" = String, Path)),
    responses((status = 202, body = Operation), (status = "4XX", body = ProblemBody)))]
pub(super) async fn restart_service(
    State(app): State<Arc<App>>,
    who: Identity,
    Path((id, service)): Path<(String, String)>,
) -> Result<Accepted, Problem> {
    Ok(accepted(stacks::restart_service(&app, &who, &id, &service).await?))
}
