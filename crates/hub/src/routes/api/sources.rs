//! `/api/sources`.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::projects::Started;
use crate::{
    app::App,
    error::{Problem, ProblemBody},
    identity::Identity,
    page::{self, Page},
    routes::extract::{Json, Query},
    sources::{self, NewSource, Run, Source, SourceChange, TestResult, TestSource},
};

/// Which sources.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Params {
    /// Ids or slugs of projects; none means all that the caller sees.
    project: Vec<String>,
    /// `feed`, `manual`, …
    kind: String,
    /// `fresh`, `overdue`, `failing`, `held`, `paused` or `new`.
    freshness: String,
    /// 1 to 200; 50 when absent.
    page_size: Option<u32>,
    /// From the page before.
    page_token: String,
}

/// Sources that the caller sees.
#[utoipa::path(get, path = "/api/sources", tag = "Sources", params(Params),
    responses((status = 200, body = Page<Source>), (status = "4XX", body = ProblemBody)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    who: Identity,
    Query(params): Query<Params>,
) -> Result<axum::Json<Page<Source>>, Problem> {
    let filter = sources::Filter {
        projects: params.project,
        kind: params.kind,
        freshness: params.freshness,
        page_size: page::size(params.page_size),
        page_token: params.page_token,
    };
    Ok(axum::Json(sources::list(&app, &who, filter).await?))
}

/// Adds a source. Operators; an operator of all projects makes a new project by naming it.
#[utoipa::path(post, path = "/api/sources", tag = "Sources", request_body = NewSource,
    responses((status = 201, body = Source), (status = "4XX", body = ProblemBody)))]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    who: Identity,
    Json(new): Json<NewSource>,
) -> Result<(StatusCode, axum::Json<Source>), Problem> {
    Ok((StatusCode::CREATED, axum::Json(sources::create(&app, &who, new).await?)))
}

/// Fetches and reads a source once without adding it. Operators.
#[utoipa::path(post, path = "/api/sources/test", tag = "Sources", request_body = TestSource,
    responses((status = 200, body = TestResult), (status = "4XX", body = ProblemBody)))]
pub(super) async fn test(
    State(app): State<Arc<App>>,
    who: Identity,
    Json(test): Json<TestSource>,
) -> Result<axum::Json<TestResult>, Problem> {
    Ok(axum::Json(sources::test(&app, &who, test).await?))
}

/// One source.
#[utoipa::path(get, path = "/api/sources/{id}", tag = "Sources", params(("id" = String, Path)),
    responses((status = 200, body = Source), (status = "4XX", body = ProblemBody)))]
pub(super) async fn get(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<axum::Json<Source>, Problem> {
    Ok(axum::Json(sources::get(&app, &who, &id).await?))
}

/// Changes a source; what is absent stays. Operators.
#[utoipa::path(patch, path = "/api/sources/{id}", tag = "Sources", params(("id" = String, Path)),
    request_body = SourceChange,
    responses((status = 200, body = Source), (status = "4XX", body = ProblemBody)))]
pub(super) async fn update(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
    Json(change): Json<SourceChange>,
) -> Result<axum::Json<Source>, Problem> {
    Ok(axum::Json(sources::update(&app, &who, &id, change).await?))
}

/// Removes a source with its documents, also while it runs. Operators.
#[utoipa::path(delete, path = "/api/sources/{id}", tag = "Sources", params(("id" = String, Path)),
    responses((status = 202, body = Started), (status = "4XX", body = ProblemBody)))]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<(StatusCode, axum::Json<Started>), Problem> {
    let job_id = sources::delete(&app, &who, &id).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(Started { job_id })))
}

/// Fetches a source now. Operators.
#[utoipa::path(post, path = "/api/sources/{id}/run", tag = "Sources",
    params(("id" = String, Path)),
    responses((status = 202, body = Started), (status = "4XX", body = ProblemBody)))]
pub(super) async fn run(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<(StatusCode, axum::Json<Started>), Problem> {
    let job_id = sources::run(&app, &who, &id).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(Started { job_id })))
}

/// Fetches and reads a source once without storing anything. Operators.
#[utoipa::path(post, path = "/api/sources/{id}/test", tag = "Sources",
    params(("id" = String, Path)),
    responses((status = 200, body = TestResult), (status = "4XX", body = ProblemBody)))]
pub(super) async fn test_existing(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<axum::Json<TestResult>, Problem> {
    Ok(axum::Json(sources::test_existing(&app, &who, &id).await?))
}

/// The latest runs of a source, newest first.
#[utoipa::path(get, path = "/api/sources/{id}/runs", tag = "Sources",
    params(("id" = String, Path)),
    responses((status = 200, body = Page<Run>), (status = "4XX", body = ProblemBody)))]
pub(super) async fn runs(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<axum::Json<Page<Run>>, Problem> {
    Ok(axum::Json(Page::whole(sources::runs(&app, &who, &id).await?)))
}
