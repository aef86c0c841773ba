//! `/users`.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use proto::Failure;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{
    errors::Errors,
    form::Form,
    frame::{self, Frame, PageError, Visit},
};
use crate::{
    app::App,
    projects::Names,
    users::{self, NewUser, User, UserChange},
};

/// The form's fields, by the names that failures use.
const FIELDS: [&str; 4] = ["name", "password", "role", "projects"];

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    name: String,
    password: SecretString,
    role: String,
    all_projects: Option<bool>,
    projects: Vec<String>,
}

#[derive(Template)]
#[template(path = "users.html")]
struct List {
    frame: Frame,
    users: Vec<User>,
    projects: Vec<String>,
    form: Fields,
    errors: Errors,
}

#[derive(Template)]
#[template(path = "user.html")]
struct Show {
    frame: Frame,
    user: User,
    projects: Vec<String>,
    form: Fields,
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
    let new = NewUser {
        name: form.name.clone(),
        password: form.password.clone(),
        role: form.role.clone(),
        all_projects: form.all_projects == Some(true),
        projects: form.projects.clone(),
    };
    match users::create(&app, &visit.who, new).await {
        Ok(user) => Ok(frame::done("/users", format!("The user {} is made.", user.name))),
        Err(failure) => {
            let errors = Errors::new(failure, &FIELDS);
            Ok((frame::UNPROCESSABLE, page(&app, &visit, form, errors).await?).into_response())
        }
    }
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let user = find(&app, &visit, &id).await?;
    let form = Fields {
        role: user.role.clone(),
        all_projects: Some(user.all_projects),
        projects: user.projects.clone(),
        ..Fields::default()
    };
    one(&app, &visit, user, form, Errors::default()).await
}

pub(super) async fn save(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path(id): Path<String>,
    Form(form): Form<Fields>,
) -> Result<Response, PageError> {
    let password = Some(form.password.clone()).filter(|given| !given.expose_secret().is_empty());
    let change = UserChange {
        password,
        role: Some(form.role.clone()),
        all_projects: form.all_projects,
        projects: Some(form.projects.clone()),
    };
    match users::update(&app, &visit.who, &id, change).await {
        Ok(user) => Ok(frame::done("/users", format!("{} is saved.", user.name))),
        Err(failure) => {
            let user = find(&app, &visit, &id).await?;
            let errors = Errors::new(failure, &FIELDS);
            let page = one(&app, &visit, user, form, errors).await?;
            Ok((frame::UNPROCESSABLE, page).into_response())
        }
    }
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let result = users::delete(&app, &visit.who, &id).await;
    Ok(frame::outcome(result, "/users", "The user is removed."))
}

async fn find(app: &App, visit: &Visit, id: &str) -> Result<User, Failure> {
    let users = users::list(app, &visit.who).await?;
    users.into_iter().find(|user| user.id == id).ok_or_else(|| Failure::not_found("user", id))
}

async fn page(
    app: &App,
    visit: &Visit,
    form: Fields,
    errors: Errors,
) -> Result<Response, PageError> {
    Ok(visit.page(&List {
        frame: visit.frame("Users", "users"),
        users: users::list(app, &visit.who).await?,
        projects: Names::load(app, &visit.who).await?.slugs(),
        form,
        errors,
    }))
}

async fn one(
    app: &App,
    visit: &Visit,
    user: User,
    form: Fields,
    errors: Errors,
) -> Result<Response, PageError> {
    Ok(visit.page(&Show {
        frame: visit.frame(user.name.as_str(), "users"),
        projects: Names::load(app, &visit.who).await?.slugs(),
        user,
        form,
        errors,
    }))
}
