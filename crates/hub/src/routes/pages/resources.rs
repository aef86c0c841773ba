//! `/projects/{slug}/resources`.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};

use super::{
    frame::{Frame, PageError, Visit},
    project::{Head, Part},
};
use crate::{
    app::App,
    resources::{self, StackResources},
};

#[derive(Template)]
#[template(path = "resources.html")]
struct Page {
    frame: Frame,
    head: Head,
    resources: Part<StackResources>,
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let head = Head::new(&app, &visit.who, &slug, "resources").await?;
    Ok(visit.page(&Page {
        frame: visit.frame(format!("Resources of {}", head.project.name), "projects"),
        head,
        resources: Part::of(resources::get(&app, &visit.who, &slug).await)?,
    }))
}
