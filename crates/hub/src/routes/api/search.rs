//! `/api/knowledge/search`.

use std::sync::Arc;

use axum::extract::State;

use crate::{
    app::App,
    error::{Problem, ProblemBody},
    identity::Identity,
    routes::extract::{Json, Query},
    search::{self, Search, SearchAnswer},
};

/// The passages that answer best.
#[utoipa::path(get, path = "/api/knowledge/search", tag = "Knowledge", params(Search),
    responses((status = 200, body = SearchAnswer), (status = "4XX", body = ProblemBody)))]
pub(super) async fn by_query(
    State(app): State<Arc<App>>,
    who: Identity,
    Query(query): Query<Search>,
) -> Result<axum::Json<SearchAnswer>, Problem> {
    Ok(axum::Json(search::search(&app, &who, query).await?))
}

/// The passages that answer best, for questions that do not fit a URL.
#[utoipa::path(post, path = "/api/knowledge/search", tag = "Knowledge", request_body = Search,
    responses((status = 200, body = SearchAnswer), (status = "4XX", body = ProblemBody)))]
pub(super) async fn by_body(
    State(app): State<Arc<App>>,
    who: Identity,
    Json(query): Json<Search>,
) -> Result<axum::Json<SearchAnswer>, Problem> {
    Ok(axum::Json(search::search(&app, &who, query).await?))
}
