//! `/sources/new` and `/sources/{id}/edit`: the form of a source.

mod fields;

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};
use chassis::caller::Role;
use fields::Fields;

use super::{
    errors::Errors,
    form::Form,
    frame::{self, Frame, PageError, Visit},
};
use crate::{
    app::App,
    projects::Names,
    routes::extract::Query,
    sources::{self, ScheduleParams, TestResult, TestSource},
};

/// The form's fields, by the names that failures use.
const FIELDS: [&str; 9] = [
    "url",
    "project",
    "name",
    "priority",
    "schedule",
    "zone",
    "credential",
    "first_import_items",
    "first_import_days",
];

#[derive(Template)]
#[template(path = "source_form.html")]
struct Page {
    frame: Frame,
    form: Fields,
    projects: Vec<String>,
    tested: Option<TestResult>,
    preview: String,
}

pub(super) async fn new(State(app): State<Arc<App>>, visit: Visit) -> Result<Response, PageError> {
    visit.who.require_role(Role::Operator)?;
    let form = Fields {
        kind: "feed".to_owned(),
        priority: "5".to_owned(),
        schedule: "hourly".to_owned(),
        ..Fields::default()
    };
    page(&app, &visit, form, None).await
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    visit: Visit,
    Form(mut form): Form<Fields>,
) -> Result<Response, PageError> {
    let made = match form.new_source() {
        Ok(new) => sources::create(&app, &visit.who, new).await,
        Err(failure) => Err(failure),
    };
    match made {
        Ok(source) => {
            let to = format!("/sources/{}", source.id);
            Ok(frame::done(&to, format!("{} is added.", source.name)))
        }
        Err(failure) => {
            form.errors = Errors::new(failure, &FIELDS);
            again(&app, &visit, form).await
        }
    }
}

pub(super) async fn test(
    State(app): State<Arc<App>>,
    visit: Visit,
    Form(mut form): Form<Fields>,
) -> Result<Response, PageError> {
    let tested = match form.new_source() {
        Ok(new) => {
            let (kind, url, credential) = (new.kind, new.url, new.credential);
            let test = TestSource { kind, url, credential, project: Some(new.project) };
            sources::test(&app, &visit.who, test).await
        }
        Err(failure) => Err(failure),
    };
    match tested {
        Ok(tested) => page(&app, &visit, form, Some(tested)).await,
        Err(failure) => {
            form.errors = Errors::new(failure, &FIELDS);
            again(&app, &visit, form).await
        }
    }
}

/// A tested form has the address of the test, which leads back to the empty form.
pub(super) async fn back() -> Redirect {
    Redirect::to("/sources/new")
}

pub(super) async fn edit(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    visit.who.require_role(Role::Operator)?;
    let form = Fields::of(sources::get(&app, &visit.who, &id).await?);
    page(&app, &visit, form, None).await
}

pub(super) async fn save(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path(id): Path<String>,
    Form(mut form): Form<Fields>,
) -> Result<Response, PageError> {
    let before = Fields::of(sources::get(&app, &visit.who, &id).await?);
    (form.id, form.kind, form.has_credential) = (before.id, before.kind, before.has_credential);
    let saved = match form.change() {
        Ok(change) => sources::update(&app, &visit.who, &id, change).await,
        Err(failure) => Err(failure),
    };
    match saved {
        Ok(_) => Ok(frame::done(&form.action(), "Saved.")),
        Err(failure) => {
            form.errors = Errors::new(failure, &FIELDS);
            again(&app, &visit, form).await
        }
    }
}

/// A schedule in words, as text for the script of the form: what is not a schedule yet is an
/// answer too, not an error.
pub(super) async fn schedule(
    State(app): State<Arc<App>>,
    visit: Visit,
    Query(params): Query<ScheduleParams>,
) -> String {
    preview(&app, &visit, &params.expression, &params.zone).await
}

async fn preview(app: &App, visit: &Visit, expression: &str, zone: &str) -> String {
    if expression.trim().is_empty() {
        return "It runs by hand only.".to_owned();
    }
    let (expression, zone) = (expression.trim().to_owned(), zone.trim().to_owned());
    match sources::preview_schedule(app, &visit.who, expression, zone).await {
        // One that each source spreads for itself has no times before there is a source.
        Ok(preview) if preview.next_runs.is_empty() => format!("{}.", preview.text),
        Ok(preview) => {
            let runs: Vec<String> = preview
                .next_runs
                .iter()
                .map(|at| at.format("%a %Y-%m-%d %H:%M").to_string())
                .collect();
            format!("{}. Next: {} (UTC).", preview.text, runs.join(", "))
        }
        Err(failure) => failure.message,
    }
}

async fn again(app: &App, visit: &Visit, form: Fields) -> Result<Response, PageError> {
    Ok((frame::UNPROCESSABLE, page(app, visit, form, None).await?).into_response())
}

async fn page(
    app: &App,
    visit: &Visit,
    form: Fields,
    tested: Option<TestResult>,
) -> Result<Response, PageError> {
    let title = if form.id.is_some() { "Edit source" } else { "Add a source" };
    let at_fault = ["schedule", "zone"].iter().any(|field| form.errors.of(field).is_some());
    let preview = match at_fault {
        // It would say the same once more.
        true => String::new(),
        false => preview(app, visit, &form.schedule, &form.zone).await,
    };
    Ok(visit.page(&Page {
        frame: visit.frame(title, "sources"),
        projects: Names::load(app, &visit.who).await?.slugs(),
        form,
        tested,
        preview,
    }))
}
