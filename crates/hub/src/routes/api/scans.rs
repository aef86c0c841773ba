//! `/api/projects/{id}/scans`.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    error::{Problem, ProblemBody},
    identity::Identity,
    routes::extract::Json,
    scans::{self, Scan, Verdict},
};

/// What is known of the images of a stack.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Verdicts {
    /// One for each service.
    verdicts: Vec<Verdict>,
}

/// The last verdicts on the images of a project's services.
#[utoipa::path(get, path = "/api/projects/{id}/scans", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 200, body = Verdicts), (status = "4XX", body = ProblemBody)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<axum::Json<Verdicts>, Problem> {
    Ok(axum::Json(Verdicts { verdicts: scans::list(&app, &who, &id).await? }))
}

/// Scans the image of one service, or of all. Operators.
#[utoipa::path(post, path = "/api/projects/{id}/scans", tag = "Stacks",
    params(("id" = String, Path, description = "Id or slug")), request_body = Scan,
    responses((status = 200, body = Verdicts), (status = "4XX", body = ProblemBody)))]
pub(super) async fn scan(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
    Json(scan): Json<Scan>,
) -> Result<axum::Json<Verdicts>, Problem> {
    Ok(axum::Json(Verdicts { verdicts: scans::scan(&app, &who, &id, scan).await? }))
}
