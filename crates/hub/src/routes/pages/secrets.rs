//! `/projects/{slug}/secrets`: names and versions; a value goes in and never comes out.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{
    errors::Errors,
    form::Form,
    frame::{self, Frame, PageError, Visit},
    project::{Head, Part},
};
use crate::{
    app::App,
    routes::extract::Query,
    secrets::{self, Secret, Value},
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    name: String,
    value: SecretString,
}

/// A secret to be given a new value.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Chosen {
    name: String,
}

#[derive(Template)]
#[template(path = "secrets.html")]
struct Page {
    frame: Frame,
    head: Head,
    secrets: Part<Vec<Secret>>,
    name: String,
    errors: Errors,
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path(slug): Path<String>,
    Query(chosen): Query<Chosen>,
) -> Result<Response, PageError> {
    page(&app, &visit, &slug, chosen.name, Errors::default()).await
}

pub(super) async fn put(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path(slug): Path<String>,
    Form(form): Form<Fields>,
) -> Result<Response, PageError> {
    // Browsers send the ends of lines in their own way; a key file would not be read with them.
    let value = Value::typed(&form.value.expose_secret().replace("\r\n", "\n"));
    let name = form.name.trim();
    match secrets::put(&app, &visit.who, &slug, name, value).await {
        Ok(secret) => {
            let text = format!("{} is kept, version {}.", secret.name, secret.version);
            Ok(frame::done(&format!("/projects/{slug}/secrets"), text))
        }
        Err(failure) => {
            let errors = Errors::new(failure, &["name", "value"]);
            let page = page(&app, &visit, &slug, name.to_owned(), errors).await?;
            Ok((frame::UNPROCESSABLE, page).into_response())
        }
    }
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path((slug, name)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let result = secrets::delete(&app, &visit.who, &slug, &name).await;
    let here = format!("/projects/{slug}/secrets");
    Ok(frame::outcome(result, &here, format!("{name} is deleted.")))
}

async fn page(
    app: &App,
    visit: &Visit,
    slug: &str,
    name: String,
    errors: Errors,
) -> Result<Response, PageError> {
    let head = Head::new(app, &visit.who, slug, "secrets").await?;
    Ok(visit.page(&Page {
        frame: visit.frame(format!("Secrets of {}", head.project.name), "projects"),
        head,
        secrets: Part::of(secrets::list(app, &visit.who, slug).await)?,
        name,
        errors,
    }))
}
