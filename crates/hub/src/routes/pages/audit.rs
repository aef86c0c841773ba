//! `/audit`.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;

use super::frame::{Frame, PageError, Visit};
use crate::{
    app::App,
    audit::{self, AuditEntry},
    page::{self, Page},
    routes::extract::Query,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    page_token: String,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct List {
    frame: Frame,
    page: Page<AuditEntry>,
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    visit: Visit,
    Query(form): Query<Fields>,
) -> Result<Response, PageError> {
    let page = audit::list(&app, &visit.who, Some(&form.page_token), page::SIZE).await?;
    Ok(visit.page(&List { frame: visit.frame("Audit log", "audit"), page }))
}
