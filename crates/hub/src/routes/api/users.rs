//! `/api/users`.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
};

use crate::{
    app::App,
    error::{Problem, ProblemBody},
    identity::Identity,
    page::Page,
    routes::extract::Json,
    users::{self, NewUser, User, UserChange},
};

/// Every user. Administrators.
#[utoipa::path(get, path = "/api/users", tag = "Users and tokens",
    responses((status = 200, body = Page<User>), (status = "4XX", body = ProblemBody)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    who: Identity,
) -> Result<axum::Json<Page<User>>, Problem> {
    Ok(axum::Json(Page::whole(users::list(&app, &who).await?)))
}

/// Makes a user. Administrators.
#[utoipa::path(post, path = "/api/users", tag = "Users and tokens", request_body = NewUser,
    responses((status = 201, body = User), (status = "4XX", body = ProblemBody)))]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    who: Identity,
    Json(new): Json<NewUser>,
) -> Result<(StatusCode, axum::Json<User>), Problem> {
    Ok((StatusCode::CREATED, axum::Json(users::create(&app, &who, new).await?)))
}

/// Changes a user; what is absent stays. Administrators.
#[utoipa::path(patch, path = "/api/users/{id}", tag = "Users and tokens",
    params(("id" = String, Path)), request_body = UserChange,
    responses((status = 200, body = User), (status = "4XX", body = ProblemBody)))]
pub(super) async fn update(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
    Json(change): Json<UserChange>,
) -> Result<axum::Json<User>, Problem> {
    Ok(axum::Json(users::update(&app, &who, &id, change).await?))
}

/// Removes a user with their sessions. Administrators.
#[utoipa::path(delete, path = "/api/users/{id}", tag = "Users and tokens",
    params(("id" = String, Path)),
    responses((status = 204), (status = "4XX", body = ProblemBody)))]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    users::delete(&app, &who, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
