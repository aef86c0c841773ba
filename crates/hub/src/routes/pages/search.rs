//! `/search`: passages with their words marked.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;

use super::frame::{Frame, PageError, Visit};
use crate::{
    app::App,
    projects::Names,
    routes::extract::Query,
    search::{self, Search, SearchAnswer},
    sources::{self, Source},
};

/// Results on a page.
const RESULTS: u32 = 20;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    q: String,
    project: String,
    source: String,
    author: String,
    tag: String,
    since: String,
    until: String,
    collapse: String,
    explain: String,
}

impl Fields {
    fn is_filtered(&self) -> bool {
        [&self.project, &self.source, &self.author, &self.tag, &self.since, &self.until]
            .into_iter()
            .any(|field| !field.is_empty())
            || !self.collapse.is_empty()
            || !self.explain.is_empty()
    }

    fn search(&self) -> Search {
        Search {
            q: self.q.clone(),
            project: vec![self.project.clone()],
            source: vec![self.source.clone()],
            author: vec![self.author.clone()],
            tag: vec![self.tag.clone()],
            since: Some(self.since.clone()),
            until: Some(self.until.clone()),
            collapse: Some(self.collapse.clone()),
            explain: self.explain == "true",
            limit: Some(RESULTS),
            ..Search::default()
        }
    }
}

#[derive(Template)]
#[template(path = "search.html")]
struct Page {
    frame: Frame,
    form: Fields,
    projects: Vec<String>,
    sources: Vec<Source>,
    answer: Option<SearchAnswer>,
    error: Option<String>,
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    visit: Visit,
    Query(form): Query<Fields>,
) -> Result<Response, PageError> {
    let names = Names::load(&app, &visit.who).await?;
    let (answer, error) = if form.q.trim().is_empty() {
        (None, None)
    } else {
        match search::search(&app, &visit.who, form.search()).await {
            Ok(answer) => (Some(answer), None),
            Err(failure) => (None, Some(failure.message)),
        }
    };
    let title = if form.q.is_empty() { "Search".to_owned() } else { form.q.clone() };
    Ok(visit.page(&Page {
        frame: visit.frame(title, "search"),
        projects: names.slugs(),
        sources: sources::named(&app, &visit.who, &[]).await.unwrap_or_default(),
        form,
        answer,
        error,
    }))
}
