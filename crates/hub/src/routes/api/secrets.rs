//! `/api/projects/{id}/secrets`.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    error::{Problem, ProblemBody},
    identity::Identity,
    routes::extract::Json,
    secrets::{self, NewSecret, Secret},
};

/// The secrets of a project.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Secrets {
    /// Without their values.
    secrets: Vec<Secret>,
}

/// Names and versions of a project's secrets; a value is never shown.
#[utoipa::path(get, path = "/api/projects/{id}/secrets", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 200, body = Secrets), (status = "4XX", body = ProblemBody)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<axum::Json<Secrets>, Problem> {
    Ok(axum::Json(Secrets { secrets: secrets::list(&app, &who, &id).await? }))
}

/// Makes a new version of a secret; the services that use it are recreated. Operators.
#[utoipa::path(put, path = "/api/projects/{id}/secrets/{name}", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug"), ("name" = String, Path)),
    request_body = NewSecret,
    responses((status = 200, body = Secret), (status = "4XX", body = ProblemBody)))]
pub(super) async fn put(
    State(app): State<Arc<App>>,
    who: Identity,
    Path((id, name)): Path<(String, String)>,
    Json(new): Json<NewSecret>,
) -> Result<axum::Json<Secret>, Problem> {
    Ok(axum::Json(secrets::put(&app, &who, &id, &name, new.value).await?))
}

/// Deletes a secret that no service uses. Operators.
#[utoipa::path(delete, path = "/api/projects/{id}/secrets/{name}", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug"), ("name" = String, Path)),
    responses((status = 204), (status = "4XX", body = ProblemBody)))]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    who: Identity,
    Path((id, name)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    secrets::delete(&app, &who, &id, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
