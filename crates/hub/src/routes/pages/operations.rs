//! `/projects/{slug}/operations` and `/operations/{id}`.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use serde::Deserialize;

use super::{
    frame::{Frame, PageError, Visit},
    project::{Head, Part},
};
use crate::{
    app::App,
    operations::{self, Operation},
    page,
    projects::{self, Project},
    routes::extract::Query,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    page_token: String,
}

#[derive(Template)]
#[template(path = "operations.html")]
struct List {
    frame: Frame,
    head: Head,
    operations: Part<Vec<Operation>>,
    next: String,
    next_page_token: String,
}

#[derive(Template)]
#[template(path = "operation.html")]
struct Show {
    frame: Frame,
    project: Project,
    operation: Operation,
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path(slug): Path<String>,
    Query(form): Query<Fields>,
) -> Result<Response, PageError> {
    let head = Head::new(&app, &visit.who, &slug, "operations").await?;
    let found = operations::list(&app, &visit.who, &slug, page::SIZE, form.page_token).await;
    let (found, next_page_token) = match found {
        Ok((operations, next)) => (Ok(operations), next),
        Err(failure) => (Err(failure), String::new()),
    };
    Ok(visit.page(&List {
        frame: visit.frame(format!("Operations of {}", head.project.name), "projects"),
        next: format!("{}/operations?", head.href()),
        head,
        operations: Part::of(found)?,
        next_page_token,
    }))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let operation = operations::get(&app, &visit.who, &id).await?;
    let project = projects::get(&app, &visit.who, &operation.project_id).await?;
    Ok(visit.page(&Show { frame: visit.frame(operation.title(), "projects"), project, operation }))
}
