//! `/documents`.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use serde::{Deserialize, Serialize};

use super::frame::{self, Frame, PageError, Visit};
use crate::{
    app::App,
    documents::{self, Document, Filter},
    markdown,
    page::Page,
    projects::Names,
    routes::extract::Query,
    sources::{self, Source},
    view::Markup,
};

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Fields {
    project: String,
    source: String,
    author: String,
    tag: String,
    #[serde(skip_serializing)]
    page_token: String,
}

#[derive(Template)]
#[template(path = "documents.html")]
struct List {
    frame: Frame,
    form: Fields,
    projects: Vec<String>,
    sources: Vec<Source>,
    page: Page<Document>,
    next: String,
}

#[derive(Template)]
#[template(path = "document.html")]
struct Show {
    frame: Frame,
    document: Document,
    rendered: Option<Markup>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Params {
    revision: Option<u32>,
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    visit: Visit,
    Query(form): Query<Fields>,
) -> Result<Response, PageError> {
    let filter = Filter {
        project: vec![form.project.clone()],
        source: vec![form.source.clone()],
        author: vec![form.author.clone()],
        tag: vec![form.tag.clone()],
        ..Filter::default()
    };
    let token = Some(form.page_token.clone());
    let page = documents::list(&app, &visit.who, filter, None, token).await?;
    Ok(visit.page(&List {
        frame: visit.frame("Documents", "documents"),
        projects: Names::load(&app, &visit.who).await?.slugs(),
        sources: sources::named(&app, &visit.who, &[]).await.unwrap_or_default(),
        next: next_page("/documents", &form),
        form,
        page,
    }))
}

/// The address of a list's next page, but for its token.
pub(super) fn next_page(path: &str, form: &impl Serialize) -> String {
    let query = serde_html_form::to_string(form).unwrap_or_default();
    if query.is_empty() { format!("{path}?") } else { format!("{path}?{query}&") }
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path(id): Path<String>,
    Query(params): Query<Params>,
) -> Result<Response, PageError> {
    let document = documents::get(&app, &visit.who, &id, params.revision).await?;
    let title = match document.title.as_str() {
        "" => "Untitled",
        title => title,
    };
    Ok(visit.page(&Show {
        frame: visit.frame(title, "documents"),
        rendered: markdown::render(&document.text),
        document,
    }))
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    documents::delete(&app, &visit.who, &id).await?;
    Ok(frame::done("/documents", "The document is deleted."))
}
