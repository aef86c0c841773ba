//! `/projects`.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    errors::Errors,
    form::Form,
    frame::{self, Frame, PageError, Visit},
};
use crate::{
    app::App,
    projects::{self, NewProject, Project},
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    slug: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Deletion {
    confirm: String,
}

#[derive(Template)]
#[template(path = "projects.html")]
struct Page {
    frame: Frame,
    projects: Vec<Project>,
    may_create: bool,
    slug: String,
    name: String,
    errors: Errors,
}

pub(super) async fn list(State(app): State<Arc<App>>, visit: Visit) -> Result<Response, PageError> {
    page(&app, &visit, Fields::default(), Errors::default()).await
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    visit: Visit,
    Form(form): Form<Fields>,
) -> Result<Response, PageError> {
    let new = NewProject { slug: form.slug.clone(), name: Some(form.name.clone()) };
    match projects::create(&app, &visit.who, new).await {
        Ok(project) => {
            Ok(frame::done("/projects", format!("The project {} is made.", project.slug)))
        }
        Err(failure) => {
            let errors = Errors::new(failure, &["slug", "name"]);
            Ok((frame::UNPROCESSABLE, page(&app, &visit, form, errors).await?).into_response())
        }
    }
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    visit: Visit,
    Form(form): Form<Deletion>,
) -> Result<Response, PageError> {
    let slug = form.confirm.trim();
    let result = projects::delete(&app, &visit.who, slug).await;
    let text = format!("The project {slug} is being deleted with all that it holds.");
    Ok(frame::outcome(result, "/projects", text))
}

async fn page(
    app: &App,
    visit: &Visit,
    form: Fields,
    errors: Errors,
) -> Result<Response, PageError> {
    Ok(visit.page(&Page {
        frame: visit.frame("Projects", "projects"),
        projects: projects::list(app, &visit.who).await?,
        may_create: projects::may_create(&visit.who).is_ok(),
        slug: form.slug,
        name: form.name,
        errors,
    }))
}
