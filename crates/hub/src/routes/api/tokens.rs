//! `/api/tokens`.

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
    tokens::{self, MadeToken, NewToken, Token},
};

/// Every API token, without secrets. Administrators.
#[utoipa::path(get, path = "/api/tokens", tag = "Users and tokens",
    responses((status = 200, body = Page<Token>), (status = "4XX", body = ProblemBody)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    who: Identity,
) -> Result<axum::Json<Page<Token>>, Problem> {
    Ok(axum::Json(Page::whole(tokens::list(&app, &who).await?)))
}

/// Makes an API token; this answer is the only one that shows its secret. Administrators.
#[utoipa::path(post, path = "/api/tokens", tag = "Users and tokens", request_body = NewToken,
    responses((status = 201, body = MadeToken), (status = "4XX", body = ProblemBody)))]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    who: Identity,
    Json(new): Json<NewToken>,
) -> Result<(StatusCode, axum::Json<MadeToken>), Problem> {
    Ok((StatusCode::CREATED, axum::Json(tokens::create(&app, &who, new).await?)))
}

/// Revokes an API token; it stops working within 30 s everywhere. Administrators.
#[utoipa::path(delete, path = "/api/tokens/{id}", tag = "Users and tokens",
    params(("id" = String, Path)),
    responses((status = 204), (status = "4XX", body = ProblemBody)))]
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    tokens::revoke(&app, &who, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
