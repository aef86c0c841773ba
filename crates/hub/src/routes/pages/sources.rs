//! `/sources`: the list, one source, and what its buttons do.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{Redirect, Response},
};
use proto::Failure;
use serde::{Deserialize, Serialize};
use url::form_urlencoded::byte_serialize;

use super::{
    documents::next_page,
    form::Form,
    frame::{self, Frame, PageError, Visit},
};
use crate::{
    app::App,
    documents,
    page::{self, Page},
    priority::Priority,
    projects::Names,
    routes::extract::Query,
    sources::{self, Filter, Run, Source, SourceChange, TestResult},
};

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Fields {
    project: String,
    freshness: String,
    #[serde(skip_serializing)]
    page_token: String,
}

#[derive(Template)]
#[template(path = "sources.html")]
struct List {
    frame: Frame,
    form: Fields,
    projects: Vec<String>,
    page: Page<Source>,
    next: String,
}

#[derive(Template)]
#[template(path = "source.html")]
struct Show {
    frame: Frame,
    source: Source,
    documents: Option<u64>,
    runs: Vec<Run>,
    tested: Option<TestResult>,
    error: Option<String>,
}

/// The fields of the buttons that have any.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Act {
    priority: String,
    confirm: String,
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    visit: Visit,
    Query(form): Query<Fields>,
) -> Result<Response, PageError> {
    let filter = Filter {
        projects: vec![form.project.clone()],
        freshness: form.freshness.clone(),
        page_size: page::SIZE,
        page_token: form.page_token.clone(),
        ..Filter::default()
    };
    let page = sources::list(&app, &visit.who, filter).await?;
    Ok(visit.page(&List {
        frame: visit.frame("Sources", "sources"),
        projects: Names::load(&app, &visit.who).await?.slugs(),
        next: next_page("/sources", &form),
        form,
        page,
    }))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    detail(&app, &visit, &id, None).await
}

async fn detail(
    app: &App,
    visit: &Visit,
    id: &str,
    test: Option<Result<TestResult, Failure>>,
) -> Result<Response, PageError> {
    let source = sources::get(app, &visit.who, id).await?;
    let runs = sources::runs(app, &visit.who, id).await?;
    // The count decorates: a source is shown also while knowledge does not answer.
    let counts = documents::counts(app, &visit.who, vec![source.id.clone()]).await.ok();
    let (tested, error) = match test {
        None => (None, None),
        Some(Ok(tested)) => (Some(tested), None),
        Some(Err(failure)) => (None, Some(failure.message)),
    };
    Ok(visit.page(&Show {
        frame: visit.frame(source.name.as_str(), "sources"),
        documents: counts.map(|counts| counts.get(&source.id).copied().unwrap_or(0)),
        source,
        runs,
        tested,
        error,
    }))
}

/// A tested source has the address of the test; that of any button leads back to the source.
pub(super) async fn back(Path((id, _)): Path<(String, String)>) -> Redirect {
    Redirect::to(&format!("/sources/{}", byte_serialize(id.as_bytes()).collect::<String>()))
}

/// What a button of a source's page does.
pub(super) async fn act(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path((id, act)): Path<(String, String)>,
    Form(fields): Form<Act>,
) -> Result<Response, PageError> {
    let who = &visit.who;
    let here = format!("/sources/{id}");
    let change = |change| async { sources::update(&app, who, &id, change).await };
    Ok(match act.as_str() {
        "run" => match sources::run(&app, who, &id).await {
            Ok(job) => frame::done(&format!("/jobs/{job}"), "The source is being fetched."),
            Err(failure) => frame::failed(&here, failure.message),
        },
        "test" => {
            let test = sources::test_existing(&app, who, &id).await;
            return detail(&app, &visit, &id, Some(test)).await;
        }
        "pause" | "resume" => {
            let paused = act == "pause";
            let text = if paused { "Paused: it no longer runs by itself." } else { "Resumed." };
            let paused = SourceChange { paused: Some(paused), ..Default::default() };
            frame::outcome(change(paused).await, &here, text)
        }
        "priority" => {
            let priority = Some(Priority::parse(&fields.priority)?);
            let text = "The priority is set; the next search goes by it.";
            let priority = SourceChange { priority, ..Default::default() };
            frame::outcome(change(priority).await, &here, text)
        }
        "delete" => delete(&app, &visit, &id, &fields.confirm).await?,
        _ => return Err(Failure::not_found("action", &act).into()),
    })
}

async fn delete(app: &App, visit: &Visit, id: &str, typed: &str) -> Result<Response, Failure> {
    let source = sources::get(app, &visit.who, id).await?;
    if typed.trim() != source.name.trim() {
        let text = format!("Nothing was deleted: type the name {:?} to confirm.", source.name);
        return Ok(frame::failed(&format!("/sources/{id}"), text));
    }
    let result = sources::delete(app, &visit.who, id).await;
    let text = format!("{} is being deleted with its documents.", source.name);
    Ok(frame::outcome(result, "/sources", text))
}
