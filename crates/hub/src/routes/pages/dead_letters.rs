//! `/dead-letters`: by cause, and what to do with them after a count.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use proto::Failure;
use serde::Deserialize;

use super::{
    form::Form,
    frame::{self, Frame, PageError, Visit},
};
use crate::{
    app::App,
    jobs::{self, DeadAction, DeadGroup, DeadQuery},
    projects::Names,
    routes::extract::Query,
    view,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    action: String,
    kind: String,
    signature: String,
    project: String,
}

impl Fields {
    fn query(&self) -> DeadQuery {
        DeadQuery {
            projects: vec![self.project.clone()],
            kind: self.kind.clone(),
            signature: self.signature.clone(),
            ids: Vec::new(),
        }
    }
}

#[derive(Template)]
#[template(path = "dead_letters.html")]
struct List {
    frame: Frame,
    project: String,
    projects: Vec<String>,
    groups: Vec<DeadGroup>,
}

#[derive(Template)]
#[template(path = "dead_confirm.html")]
struct Confirm {
    frame: Frame,
    form: Fields,
    count: u64,
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    visit: Visit,
    Query(form): Query<Fields>,
) -> Result<Response, PageError> {
    let asked = [form.project.clone()];
    Ok(visit.page(&List {
        frame: visit.frame("Dead letters", "dead"),
        projects: Names::load(&app, &visit.who).await?.slugs(),
        groups: jobs::dead_groups(&app, &visit.who, &asked).await?,
        project: form.project,
    }))
}

/// Says how many jobs it would be, before anything is done.
pub(super) async fn confirm(
    State(app): State<Arc<App>>,
    visit: Visit,
    Query(form): Query<Fields>,
) -> Result<Response, PageError> {
    let action = action(&form.action)?;
    let count = jobs::act_on_dead(&app, &visit.who, action, form.query(), true).await?;
    let title = match action {
        DeadAction::Retry => "Retry dead jobs",
        DeadAction::Discard => "Discard dead jobs",
    };
    Ok(visit.page(&Confirm { frame: visit.frame(title, "dead"), form, count }))
}

pub(super) async fn act(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path(name): Path<String>,
    Form(form): Form<Fields>,
) -> Result<Response, PageError> {
    let action = action(&name)?;
    let count = jobs::act_on_dead(&app, &visit.who, action, form.query(), false).await?;
    let count = view::number(&count);
    let text = match action {
        DeadAction::Retry => format!("{count} jobs are queued again."),
        DeadAction::Discard => format!("{count} jobs are discarded."),
    };
    Ok(frame::done("/dead-letters", text))
}

fn action(name: &str) -> Result<DeadAction, Failure> {
    match name {
        "retry" => Ok(DeadAction::Retry),
        "discard" => Ok(DeadAction::Discard),
        _ => Err(Failure::not_found("action", name)),
    }
}
