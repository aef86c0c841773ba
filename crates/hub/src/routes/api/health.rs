//! How a project's stack does: health, resources, failures, hardening.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    response::Response,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::live::{Listener, states};
use crate::{
    app::App,
    error::{Problem, ProblemBody},
    failures::{self, Failure},
    hardening::{self, HardeningReport},
    health::{self, StackHealth},
    identity::Identity,
    page,
    resources::{self, StackResources},
    routes::extract::Query,
};

/// Which failures.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Params {
    /// Of this service; of all when absent.
    service: String,
    /// 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// `next_page_token` of the page before.
    page: String,
}

/// Some failures.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Failures {
    /// The newest first.
    failures: Vec<Failure>,
    /// Send it as `page` for the next page; empty at the end.
    next_page_token: String,
}

/// What was read back of each container.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Hardening {
    /// Each service.
    services: Vec<HardeningReport>,
}

/// How a project's stack does, with the last probe outputs of each service.
#[utoipa::path(get, path = "/api/projects/{id}/health", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 200, body = StackHealth), (status = "4XX", body = ProblemBody)))]
pub(super) async fn get(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<Json<StackHealth>, Problem> {
    Ok(Json(health::get(&app, &who, &id).await?))
}

/// Health as it changes: `event: health` with the present state at once, then each change; `event:
/// problem` when it ends with a refusal.
#[utoipa::path(get, path = "/api/projects/{id}/health/events", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "A stream of health", body = StackHealth,
               content_type = "text/event-stream"),
              (status = "4XX", body = ProblemBody)))]
pub(super) async fn events(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let listener = Listener::new(&app, &who)?;
    let changes = health::watch(&app, &who, &id).await?;
    Ok(listener.events(states("health", changes)))
}

/// What each service uses of its limits, with peaks.
#[utoipa::path(get, path = "/api/projects/{id}/resources", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 200, body = StackResources), (status = "4XX", body = ProblemBody)))]
pub(super) async fn resources(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<Json<StackResources>, Problem> {
    Ok(Json(resources::get(&app, &who, &id).await?))
}

/// What is known about each end of a service, newest first.
#[utoipa::path(get, path = "/api/projects/{id}/failures", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug"), Params),
    responses((status = 200, body = Failures), (status = "4XX", body = ProblemBody)))]
pub(super) async fn failures(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
    Query(params): Query<Params>,
) -> Result<Json<Failures>, Problem> {
    let size = page::size(params.limit);
    let found = failures::list(&app, &who, &id, params.service, size, params.page).await?;
    Ok(Json(Failures { failures: found.0, next_page_token: found.1 }))
}

/// The effective state of each container, read back.
#[utoipa::path(get, path = "/api/projects/{id}/hardening", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 200, body = Hardening), (status = "4XX", body = ProblemBody)))]
pub(super) async fn hardening(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<Json<Hardening>, Problem> {
    Ok(Json(Hardening { services: hardening::report(&app, &who, &id).await? }))
}
