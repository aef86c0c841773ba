//! `/tokens`.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use proto::Failure;
use serde::Deserialize;

use super::{
    errors::Errors,
    form::Form,
    frame::{self, Frame, PageError, Visit},
};
use crate::{
    app::App,
    projects::Names,
    tokens::{self, MadeToken, NewToken, Token},
};

/// The form's fields, by the names that failures use.
const FIELDS: [&str; 4] = ["name", "role", "projects", "expires_in_days"];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    name: String,
    role: String,
    all_projects: Option<bool>,
    projects: Vec<String>,
    expires_in_days: String,
}

impl Fields {
    fn new_token(&self) -> Result<NewToken, Failure> {
        let days = self.expires_in_days.trim();
        let expires_in_days = match days {
            "" => None,
            days => Some(days.parse().map_err(|_| {
                Failure::invalid("expires_in_days", format!("{days:?} is not a number of days"))
            })?),
        };
        Ok(NewToken {
            name: self.name.clone(),
            role: self.role.clone(),
            all_projects: self.all_projects == Some(true),
            projects: self.projects.clone(),
            expires_in_days,
        })
    }
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct Page {
    frame: Frame,
    tokens: Vec<Token>,
    projects: Vec<String>,
    form: Fields,
    errors: Errors,
    made: Option<MadeToken>,
}

pub(super) async fn list(State(app): State<Arc<App>>, visit: Visit) -> Result<Response, PageError> {
    page(&app, &visit, Fields::default(), Errors::default(), None).await
}

/// Answers with the page itself, not with a way to it: the secret must not be kept anywhere to be
/// shown later.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    visit: Visit,
    Form(form): Form<Fields>,
) -> Result<Response, PageError> {
    let made = match form.new_token() {
        Ok(new) => tokens::create(&app, &visit.who, new).await,
        Err(failure) => Err(failure),
    };
    match made {
        Ok(made) => page(&app, &visit, Fields::default(), Errors::default(), Some(made)).await,
        Err(failure) => {
            let errors = Errors::new(failure, &FIELDS);
            let page = page(&app, &visit, form, errors, None).await?;
            Ok((frame::UNPROCESSABLE, page).into_response())
        }
    }
}

pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let result = tokens::revoke(&app, &visit.who, &id).await;
    Ok(frame::outcome(result, "/tokens", "The token is revoked."))
}

async fn page(
    app: &App,
    visit: &Visit,
    form: Fields,
    errors: Errors,
    made: Option<MadeToken>,
) -> Result<Response, PageError> {
    Ok(visit.page(&Page {
        frame: visit.frame("API tokens", "tokens"),
        tokens: tokens::list(app, &visit.who).await?,
        projects: Names::load(app, &visit.who).await?.slugs(),
        form,
        errors,
        made,
    }))
}
