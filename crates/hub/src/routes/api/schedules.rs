//! `/api/schedules`.

use std::sync::Arc;

use axum::{Json, extract::State};

use crate::{
    app::App,
    error::{Problem, ProblemBody},
    identity::Identity,
    routes::extract::Query,
    sources::{self, ScheduleParams, SchedulePreview},
};

/// What a schedule means and when it fires next.
#[utoipa::path(get, path = "/api/schedules/preview", tag = "Sources", params(ScheduleParams),
    responses((status = 200, body = SchedulePreview), (status = "4XX", body = ProblemBody)))]
pub(super) async fn preview(
    State(app): State<Arc<App>>,
    who: Identity,
    Query(params): Query<ScheduleParams>,
) -> Result<Json<SchedulePreview>, Problem> {
    let preview = sources::preview_schedule(&app, &who, params.expression, params.zone).await?;
    Ok(Json(preview))
}
