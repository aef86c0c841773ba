//! `/api/jobs`.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    app::App,
    error::{Problem, ProblemBody},
    identity::Identity,
    jobs::{self, Counts, Job},
    page,
    routes::extract::Query,
};

/// Which jobs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Params {
    /// `queued`, `running`, `done`, `dead`, `cancelled`.
    state: Vec<String>,
    /// Kinds of work, such as `ingestion.fetch`.
    kind: Vec<String>,
    /// Id or name of the source that asked for them.
    source: String,
    /// Ids or slugs of projects; none means all that the caller sees.
    project: Vec<String>,
    /// 1 to 200; 50 when absent.
    page_size: Option<u32>,
    /// From the page before.
    page_token: String,
}

/// Some jobs, and how many there are in each state.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Jobs {
    /// The newest first.
    items: Vec<Job>,
    /// Send it as `page_token` for the next page; empty at the end.
    next_page_token: String,
    /// Over all that match the other filters.
    counts: Counts,
}

/// Jobs that the caller sees, newest first.
#[utoipa::path(get, path = "/api/jobs", tag = "Jobs", params(Params),
    responses((status = 200, body = Jobs), (status = "4XX", body = ProblemBody)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    who: Identity,
    Query(params): Query<Params>,
) -> Result<axum::Json<Jobs>, Problem> {
    let query = jobs::Query {
        projects: params.project,
        states: params.state,
        kinds: params.kind,
        source: params.source,
        page_size: page::size(params.page_size),
        page_token: params.page_token,
    };
    let (page, counts) = jobs::list(&app, &who, query).await?;
    Ok(axum::Json(Jobs { items: page.items, next_page_token: page.next_page_token, counts }))
}

/// One job with its attempts.
#[utoipa::path(get, path = "/api/jobs/{id}", tag = "Jobs", params(("id" = String, Path)),
    responses((status = 200, body = Job), (status = "4XX", body = ProblemBody)))]
pub(super) async fn get(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<axum::Json<Job>, Problem> {
    Ok(axum::Json(jobs::get(&app, &who, &id).await?))
}

/// Queues a dead, cancelled or waiting job again, due now. Operators.
#[utoipa::path(post, path = "/api/jobs/{id}/retry", tag = "Jobs", params(("id" = String, Path)),
    responses((status = 200, body = Job), (status = "4XX", body = ProblemBody)))]
pub(super) async fn retry(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<axum::Json<Job>, Problem> {
    Ok(axum::Json(jobs::retry(&app, &who, &id).await?))
}

/// Ends a job: at once when it waits, within moments when it runs. Operators.
#[utoipa::path(post, path = "/api/jobs/{id}/cancel", tag = "Jobs", params(("id" = String, Path)),
    responses((status = 200, body = Job), (status = "4XX", body = ProblemBody)))]
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<axum::Json<Job>, Problem> {
    Ok(axum::Json(jobs::cancel(&app, &who, &id).await?))
}
