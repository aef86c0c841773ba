//! `/api/status`, `/api/me` and `/api/knowledge/index`.

use std::sync::Arc;

use axum::{Json, extract::State};
use chassis::caller::Scope;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    error::{Problem, ProblemBody},
    identity::Identity,
    projects::Names,
    status::{self, Index, Status},
};

/// Who the caller is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Me {
    /// The token's or user's id.
    id: String,
    /// The token's or user's name.
    name: String,
    /// `viewer`, `operator` or `admin`.
    role: &'static str,
    /// True: all projects, also those to come.
    all_projects: bool,
    /// The slugs of the projects, when not all.
    projects: Vec<String>,
}

/// How the whole system does.
#[utoipa::path(get, path = "/api/status", tag = "Status",
    responses((status = 200, body = Status), (status = "4XX", body = ProblemBody)))]
pub(super) async fn status(
    State(app): State<Arc<App>>,
    who: Identity,
) -> Result<Json<Status>, Problem> {
    Ok(Json(status::status(&app, &who).await?))
}

/// Which embedder is at work, which models there are, and what search knows.
#[utoipa::path(get, path = "/api/knowledge/index", tag = "Knowledge",
    responses((status = 200, body = Index), (status = "4XX", body = ProblemBody)))]
pub(super) async fn index(
    State(app): State<Arc<App>>,
    who: Identity,
) -> Result<Json<Index>, Problem> {
    Ok(Json(status::index(&app, &who).await?))
}

/// Who the token or session belongs to.
#[utoipa::path(get, path = "/api/me", tag = "Status",
    responses((status = 200, body = Me), (status = "4XX", body = ProblemBody)))]
pub(super) async fn me(State(app): State<Arc<App>>, who: Identity) -> Result<Json<Me>, Problem> {
    let projects = match &who.caller.scope {
        Scope::All => Vec::new(),
        Scope::Projects(_) => Names::load(&app, &who).await?.slugs(),
    };
    Ok(Json(Me {
        id: who.caller.id.clone(),
        name: who.caller.name.clone(),
        role: who.caller.role.as_str(),
        all_projects: who.caller.scope == Scope::All,
        projects,
    }))
}
