//! `/jobs`: the list and one job, both following what happens.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use proto::Failure;
use serde::{Deserialize, Serialize};

use super::{
    documents::next_page,
    frame::{self, Frame, PageError, Visit},
};
use crate::{
    app::App,
    jobs::{self, Job},
    page::{self, Page},
    projects::Names,
    routes::extract::Query,
    sources::{self, Source},
};

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Fields {
    state: String,
    kind: String,
    project: String,
    source: String,
    #[serde(skip_serializing)]
    page_token: String,
}

impl Fields {
    /// The filters but for the state, for the tabs.
    fn without_state(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("kind", &self.kind),
                ("project", &self.project),
                ("source", &self.source),
            ])
            .finish()
    }
}

#[derive(Template)]
#[template(path = "jobs.html")]
struct List {
    frame: Frame,
    form: Fields,
    projects: Vec<String>,
    sources: Vec<Source>,
    tabs: [(&'static str, u64); 5],
    page: Page<Job>,
    next: String,
}

#[derive(Template)]
#[template(path = "job.html")]
struct Show {
    frame: Frame,
    job: Job,
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    visit: Visit,
    Query(form): Query<Fields>,
) -> Result<Response, PageError> {
    let query = jobs::Query {
        projects: vec![form.project.clone()],
        states: vec![form.state.clone()],
        kinds: vec![form.kind.clone()],
        source: form.source.clone(),
        page_size: page::SIZE,
        page_token: form.page_token.clone(),
    };
    let (page, counts) = jobs::list(&app, &visit.who, query).await?;
    Ok(visit.page(&List {
        frame: visit.frame("Jobs", "jobs"),
        projects: Names::load(&app, &visit.who).await?.slugs(),
        sources: sources::named(&app, &visit.who, &[]).await.unwrap_or_default(),
        tabs: counts.tabs(),
        next: next_page("/jobs", &form),
        form,
        page,
    }))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let job = jobs::get(&app, &visit.who, &id).await?;
    let title = if job.subject.is_empty() { &job.kind } else { &job.subject };
    Ok(visit.page(&Show { frame: visit.frame(title, "jobs"), job }))
}

/// What a button of a job's page does.
pub(super) async fn act(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path((id, act)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let here = format!("/jobs/{id}");
    Ok(match act.as_str() {
        "retry" => {
            let result = jobs::retry(&app, &visit.who, &id).await;
            frame::outcome(result, &here, "The job is queued again.")
        }
        "cancel" => {
            let result = jobs::cancel(&app, &visit.who, &id).await;
            frame::outcome(result, &here, "The job is being cancelled.")
        }
        _ => return Err(Failure::not_found("action", &act).into()),
    })
}
