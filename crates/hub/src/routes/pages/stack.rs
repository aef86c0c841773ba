//! `/projects/{slug}`: a project's stack, and what its buttons do.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{Redirect, Response},
};
use proto::Failure;
use serde::Deserialize;
use url::form_urlencoded::byte_serialize;

use super::{
    form::Form,
    frame::{self, Frame, PageError, Visit},
    project::{Head, Part},
};
use crate::{
    app::App,
    health::{self, StackHealth},
    operations::Operation,
    projects,
    stacks::{self, Stack, Verb},
};

#[derive(Template)]
#[template(path = "stack.html")]
struct Page {
    frame: Frame,
    head: Head,
    stack: Part<Stack>,
    health: Part<StackHealth>,
}

/// The fields of the button that removes a stack.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Removal {
    confirm: String,
    volumes: bool,
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let head = Head::new(&app, &visit.who, &slug, "stack").await?;
    let (stack, health) =
        tokio::join!(stacks::get(&app, &visit.who, &slug), health::get(&app, &visit.who, &slug));
    Ok(visit.page(&Page {
        frame: visit.frame(head.project.name.as_str(), "projects"),
        head,
        stack: Part::of(stack)?,
        health: Part::of(health)?,
    }))
}

/// The address of a button, opened by hand, leads back to the stack.
pub(super) async fn back(Path((slug, _)): Path<(String, String)>) -> Redirect {
    Redirect::to(&format!("/projects/{}", byte_serialize(slug.as_bytes()).collect::<String>()))
}

/// What a button of the stack does.
pub(super) async fn act(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path((slug, act)): Path<(String, String)>,
    Form(removal): Form<Removal>,
) -> Result<Response, PageError> {
    let who = &visit.who;
    let project = projects::get(&app, who, &slug).await?;
    let result = match act.as_str() {
        "start" => stacks::act(&app, who, &slug, Verb::Start).await,
        "stop" => stacks::act(&app, who, &slug, Verb::Stop).await,
        "restart" => stacks::act(&app, who, &slug, Verb::Restart).await,
        "remove" if removal.confirm.trim() == project.slug => {
            stacks::remove(&app, who, &slug, removal.volumes).await
        }
        "remove" => {
            let text = format!("Nothing was removed: type the slug {} to confirm.", project.slug);
            return Ok(frame::failed(&format!("/projects/{}", project.slug), text));
        }
        _ => return Err(Failure::not_found("action", &act).into()),
    };
    Ok(begun(result, &project.slug))
}

/// What the button of a service does.
pub(super) async fn restart(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path((slug, service)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let project = projects::get(&app, &visit.who, &slug).await?;
    let result = stacks::restart_service(&app, &visit.who, &slug, &service).await;
    Ok(begun(result, &project.slug))
}

/// On to the operation that was begun, or back to the stack with the refusal.
fn begun(result: Result<Operation, Failure>, slug: &str) -> Response {
    match result {
        Ok(operation) => {
            let text = format!("{}: begun.", operation.title());
            frame::done(&format!("/operations/{}", operation.id), text)
        }
        Err(failure) => {
            crate::error::log(&failure);
            frame::failed(&format!("/projects/{slug}"), failure.message)
        }
    }
}
