//! `/api/dead-letters`.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    app::App,
    error::{Problem, ProblemBody},
    identity::Identity,
    jobs::{self, DeadAction, DeadGroup, DeadQuery},
    page::Page,
    routes::extract::{Json, Query},
};

/// Whose dead jobs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Params {
    /// Ids or slugs of projects; none means all that the caller sees.
    project: Vec<String>,
}

/// Which dead jobs; what is absent does not narrow.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DeadFilter {
    /// The kind of work.
    kind: Option<String>,
    /// The cause, as the groups name it.
    signature: Option<String>,
    /// These jobs.
    ids: Vec<String>,
    /// Id or slug of a project.
    project: Option<String>,
    /// True: only count.
    dry_run: bool,
}

/// How many jobs matched.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Matched {
    /// At most 10,000 a call.
    count: u64,
    /// True: they were only counted.
    dry_run: bool,
}

/// Dead jobs grouped by cause, the largest group first.
#[utoipa::path(get, path = "/api/dead-letters", tag = "Jobs", params(Params),
    responses((status = 200, body = Page<DeadGroup>), (status = "4XX", body = ProblemBody)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    who: Identity,
    Query(params): Query<Params>,
) -> Result<axum::Json<Page<DeadGroup>>, Problem> {
    Ok(axum::Json(Page::whole(jobs::dead_groups(&app, &who, &params.project).await?)))
}

/// Queues every dead job that matches again, attempts kept. Operators.
#[utoipa::path(post, path = "/api/dead-letters/retry", tag = "Jobs", request_body = DeadFilter,
    responses((status = 200, body = Matched), (status = "4XX", body = ProblemBody)))]
pub(super) async fn retry(
    State(app): State<Arc<App>>,
    who: Identity,
    Json(filter): Json<DeadFilter>,
) -> Result<axum::Json<Matched>, Problem> {
    act(&app, &who, DeadAction::Retry, filter).await
}

/// Gives up every dead job that matches. Operators.
#[utoipa::path(post, path = "/api/dead-letters/discard", tag = "Jobs", request_body = DeadFilter,
    responses((status = 200, body = Matched), (status = "4XX", body = ProblemBody)))]
pub(super) async fn discard(
    State(app): State<Arc<App>>,
    who: Identity,
    Json(filter): Json<DeadFilter>,
) -> Result<axum::Json<Matched>, Problem> {
    act(&app, &who, DeadAction::Discard, filter).await
}

async fn act(
    app: &App,
    who: &Identity,
    action: DeadAction,
    filter: DeadFilter,
) -> Result<axum::Json<Matched>, Problem> {
    let dry_run = filter.dry_run;
    let query = DeadQuery {
        projects: filter.project.into_iter().collect(),
        kind: filter.kind.unwrap_or_default(),
        signature: filter.signature.unwrap_or_default(),
        ids: filter.ids,
    };
    let count = jobs::act_on_dead(app, who, action, query, dry_run).await?;
    Ok(axum::Json(Matched { count, dry_run }))
}
