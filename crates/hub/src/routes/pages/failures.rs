//! `/projects/{slug}/failures`.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use serde::{Deserialize, Serialize};

use super::{
    documents::next_page,
    frame::{Frame, PageError, Visit},
    project::{Head, Part},
};
use crate::{
    app::App,
    failures::{self, Failure},
    routes::extract::Query,
};

/// Failures on a page: each may bring 200 lines along.
const SIZE: u32 = 20;

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Fields {
    service: String,
    #[serde(skip_serializing)]
    page_token: String,
}

#[derive(Template)]
#[template(path = "failures.html")]
struct Page {
    frame: Frame,
    head: Head,
    form: Fields,
    failures: Part<Vec<Failure>>,
    next: String,
    next_page_token: String,
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path(slug): Path<String>,
    Query(form): Query<Fields>,
) -> Result<Response, PageError> {
    let head = Head::new(&app, &visit.who, &slug, "failures").await?;
    let (service, token) = (form.service.clone(), form.page_token.clone());
    let found = failures::list(&app, &visit.who, &slug, service, SIZE, token).await;
    let (found, next_page_token) = match found {
        Ok((failures, next)) => (Ok(failures), next),
        Err(failure) => (Err(failure), String::new()),
    };
    Ok(visit.page(&Page {
        frame: visit.frame(format!("Failures of {}", head.project.name), "projects"),
        next: next_page(&format!("{}/failures", head.href()), &form),
        head,
        form,
        failures: Part::of(found)?,
        next_page_token,
    }))
}
