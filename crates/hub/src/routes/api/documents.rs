//! `/api/knowledge/documents`.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use proto::{Failure, Reason};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    app::App,
    documents::{self, Accepted, Document, Filter, NewDocument, NewDocuments},
    error::{Problem, ProblemBody},
    identity::Identity,
    page::Page,
    routes::extract::{Json, Query},
};

/// One document, or many under `documents`.
#[derive(ToSchema)]
#[schema(as = DocumentsBody)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
#[serde(untagged)]
#[derive(Deserialize)]
#[expect(clippy::large_enum_variant, reason = "it only describes")]
pub(super) enum Body {
    One(NewDocument),
    Many(NewDocuments),
}

/// Which page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// 1 to 200; 50 when absent.
    page_size: Option<u32>,
    /// From the page before.
    page_token: Option<String>,
}

/// Which revision.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Revision {
    /// Counts from 1; the newest when absent.
    revision: Option<u32>,
}

/// Documents without their texts, newest first.
#[utoipa::path(get, path = "/api/knowledge/documents", tag = "Knowledge",
    params(Filter, Paging),
    responses((status = 200, body = Page<Document>), (status = "4XX", body = ProblemBody)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    who: Identity,
    Query(filter): Query<Filter>,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<Page<Document>>, Problem> {
    let page = documents::list(&app, &who, filter, paging.page_size, paging.page_token).await?;
    Ok(axum::Json(page))
}

/// Hands in one document or many: durable once answered, searchable once their jobs are done.
/// Operators; an operator of all projects makes a new project by naming it.
#[utoipa::path(post, path = "/api/knowledge/documents", tag = "Knowledge", request_body = Body,
    responses((status = 202, body = Accepted), (status = "4XX", body = ProblemBody)))]
pub(super) async fn submit(
    State(app): State<Arc<App>>,
    who: Identity,
    Json(body): Json<Value>,
) -> Result<(StatusCode, axum::Json<Accepted>), Problem> {
    let many = body.get("documents").is_some();
    let documents =
        if many { read::<NewDocuments>(body)?.documents } else { vec![read::<NewDocument>(body)?] };
    let mut results = documents::submit(&app, &who, documents).await?;
    if !many {
        results =
            results.into_iter().map(|result| result.into_failure()).collect::<Result<_, _>>()?;
    }
    Ok((StatusCode::ACCEPTED, axum::Json(Accepted { results })))
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let reason = error.into_inner().to_string();
        Failure::new(Reason::InvalidInput, format!("{path}: {reason}")).violation(&path, reason)
    })
}

/// One document with its text.
#[utoipa::path(get, path = "/api/knowledge/documents/{id}", tag = "Knowledge",
    params(("id" = String, Path), Revision),
    responses((status = 200, body = Document), (status = "4XX", body = ProblemBody)))]
pub(super) async fn get(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
    Query(params): Query<Revision>,
) -> Result<axum::Json<Document>, Problem> {
    Ok(axum::Json(documents::get(&app, &who, &id, params.revision).await?))
}

/// Deletes a document with its passages; its source does not bring it back. Operators.
#[utoipa::path(delete, path = "/api/knowledge/documents/{id}", tag = "Knowledge",
    params(("id" = String, Path)),
    responses((status = 204), (status = "4XX", body = ProblemBody)))]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    documents::delete(&app, &who, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
