//! `/api/audit`.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::App,
    audit::{self, AuditEntry},
    error::{Problem, ProblemBody},
    identity::Identity,
    page::{self, Page},
    routes::extract::Query,
};

/// Which page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Params {
    /// 1 to 200; 50 when absent.
    page_size: Option<u32>,
    /// From the page before.
    page_token: Option<String>,
}

/// Who did what to which object, newest first; kept a year. Administrators.
#[utoipa::path(get, path = "/api/audit", tag = "Users and tokens", params(Params),
    responses((status = 200, body = Page<AuditEntry>), (status = "4XX", body = ProblemBody)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    who: Identity,
    Query(params): Query<Params>,
) -> Result<Json<Page<AuditEntry>>, Problem> {
    let size = page::size(params.page_size);
    Ok(Json(audit::list(&app, &who, params.page_token.as_deref(), size).await?))
}
