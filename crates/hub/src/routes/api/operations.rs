//! `/api/projects/{id}/operations`.

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
    identity::Identity,
    operations::{self, Operation},
    page,
    routes::extract::Query,
};

/// Which page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Params {
    /// 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// `next_page_token` of the page before.
    page: String,
}

/// Some operations.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Operations {
    /// The newest first, without their steps.
    operations: Vec<Operation>,
    /// Send it as `page` for the next page; empty at the end.
    next_page_token: String,
}

/// What was done to a project's stack, newest first, without steps.
#[utoipa::path(get, path = "/api/projects/{id}/operations", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug"), Params),
    responses((status = 200, body = Operations), (status = "4XX", body = ProblemBody)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
    Query(params): Query<Params>,
) -> Result<Json<Operations>, Problem> {
    let size = page::size(params.limit);
    let (operations, next_page_token) =
        operations::list(&app, &who, &id, size, params.page).await?;
    Ok(Json(Operations { operations, next_page_token }))
}

/// One operation with its steps.
#[utoipa::path(get, path = "/api/projects/{id}/operations/{operation}", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug"), ("operation" = String, Path)),
    responses((status = 200, body = Operation), (status = "4XX", body = ProblemBody)))]
pub(super) async fn get(
    State(app): State<Arc<App>>,
    who: Identity,
    Path((id, operation)): Path<(String, String)>,
) -> Result<Json<Operation>, Problem> {
    Ok(Json(operations::of_project(&app, &who, &id, &operation).await?))
}

/// An operation as it goes on: `event: operation` with it as it is, then after each step; the
/// stream ends when it ends.
#[utoipa::path(get, path = "/api/projects/{id}/operations/{operation}/events", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug"), ("operation" = String, Path)),
    responses((status = 200, description = "A stream of an operation", body = Operation,
               content_type = "text/event-stream"),
              (status = "4XX", body = ProblemBody)))]
pub(super) async fn events(
    State(app): State<Arc<App>>,
    who: Identity,
    Path((id, operation)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let listener = Listener::new(&app, &who)?;
    let changes = operations::watch(&app, &who, &id, &operation).await?;
    Ok(listener.events(states("operation", changes)))
}
