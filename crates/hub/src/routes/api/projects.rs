//! `/api/projects`.

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
    page::Page,
    projects::{self, NewProject, Project},
    routes::extract::Json,
};

/// A job that carries on with what was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Started {
    /// The job's id; `/api/jobs/{id}` shows it.
    pub(crate) job_id: String,
}

/// Projects that the caller sees.
#[utoipa::path(get, path = "/api/projects", tag = "Projects",
    responses((status = 200, body = Page<Project>), (status = "4XX", body = ProblemBody)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    who: Identity,
) -> Result<axum::Json<Page<Project>>, Problem> {
    Ok(axum::Json(Page::whole(projects::list(&app, &who).await?)))
}

/// Makes a project. Operators of all projects.
#[utoipa::path(post, path = "/api/projects", tag = "Projects", request_body = NewProject,
    responses((status = 201, body = Project), (status = "4XX", body = ProblemBody)))]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    who: Identity,
    Json(new): Json<NewProject>,
) -> Result<(StatusCode, axum::Json<Project>), Problem> {
    Ok((StatusCode::CREATED, axum::Json(projects::create(&app, &who, new).await?)))
}

/// One project, by id or slug.
#[utoipa::path(get, path = "/api/projects/{id}", tag = "Projects",
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 200, body = Project), (status = "4XX", body = ProblemBody)))]
pub(super) async fn get(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<axum::Json<Project>, Problem> {
    Ok(axum::Json(projects::get(&app, &who, &id).await?))
}

/// Deletes a project with its sources, documents and stack. Administrators.
#[utoipa::path(delete, path = "/api/projects/{id}", tag = "Projects",
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 202, body = Started), (status = "4XX", body = ProblemBody)))]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<(StatusCode, axum::Json<Started>), Problem> {
    let job_id = projects::delete(&app, &who, &id).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(Started { job_id })))
}
