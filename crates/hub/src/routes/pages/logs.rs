//! `/projects/{slug}/logs`: the last records of all or some services; scripts let it follow.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use serde::{Deserialize, Serialize};

use super::{
    frame::{Frame, PageError, Visit},
    project::{Head, Part},
};
use crate::{
    ansi,
    app::App,
    health,
    logs::{self, Kind, LogRecord},
    routes::extract::Query,
    view::Markup,
};

/// Records that the page begins with, unless it is asked for others.
const TAIL: u32 = 200;
/// Records that the page may begin with: a page should stay a page.
const TAIL_MAX: u32 = 2_000;
/// What the page shows of a line, in bytes; the REST API has it all.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// Looks that tell services apart.
const LOOKS: u32 = 6;

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Fields {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    service: Vec<String>,
    /// The text that is looked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    /// `filter`: only lines with the text; otherwise it is marked in all.
    #[serde(skip_serializing_if = "String::is_empty")]
    mode: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    level: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tail: Option<u32>,
    /// The cursor of a line: the page shows what is around it, and does not follow.
    #[serde(skip_serializing)]
    at: String,
}

#[derive(Template)]
#[template(path = "logs.html")]
struct Page {
    frame: Frame,
    head: Head,
    form: Fields,
    services: Vec<String>,
    tail: u32,
    records: Part<Vec<LogRecord>>,
    /// The form as a query string that others can be added to.
    query: String,
    /// The same for the REST API.
    api_query: String,
    /// Where following begins.
    last: String,
}

impl Fields {
    fn filters(&self) -> bool {
        self.mode == "filter"
    }

    fn query(&self, tail: u32) -> logs::Query {
        logs::Query {
            services: self.service.iter().filter(|name| !name.is_empty()).cloned().collect(),
            tail,
            contains: if self.filters() { self.text.clone() } else { String::new() },
            level: self.level.clone(),
            after: if self.at.is_empty() { String::new() } else { logs::before(&self.at) },
            ..logs::Query::default()
        }
    }

    /// What the REST API is asked for the same records.
    fn api_query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for service in &self.service {
            query.append_pair("service", service);
        }
        if self.filters() {
            query.append_pair("contains", &self.text);
        }
        query.append_pair("level", &self.level);
        query.finish()
    }
}

impl Page {
    fn chose(&self, service: &String) -> bool {
        self.form.service.contains(service)
    }

    /// The look of a service: the same wherever it is named. The script counts alike.
    fn look(&self, service: &str) -> u32 {
        service.bytes().fold(0, |sum, byte| (sum * 31 + u32::from(byte)) % 997) % LOOKS
    }

    fn text(&self, text: &str) -> Markup {
        let end = text.floor_char_boundary(LINE_BYTES_MAX);
        ansi::render(&text[..end], &self.form.text)
    }

    fn cuts(&self, text: &str) -> bool {
        text.len() > LINE_BYTES_MAX
    }
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path(slug): Path<String>,
    Query(form): Query<Fields>,
) -> Result<Response, PageError> {
    let head = Head::new(&app, &visit.who, &slug, "logs").await?;
    let tail = form.tail.unwrap_or(TAIL).clamp(1, TAIL_MAX);
    let (records, health) = tokio::join!(
        logs::read(&app, &visit.who, &slug, form.query(tail)),
        health::get(&app, &visit.who, &slug)
    );
    let records = Part::of(records)?;
    let mut services: Vec<String> =
        health.map(|it| it.services.into_iter().map(|it| it.name).collect()).unwrap_or_default();
    // Logs outlive their services.
    services.extend(
        form.service.iter().filter(|name| !services.contains(name)).cloned().collect::<Vec<_>>(),
    );
    let last = records.shown().and_then(|all| all.last()).map(|it| it.cursor.clone());
    Ok(visit.page(&Page {
        frame: visit.frame(format!("Logs of {}", head.project.name), "projects"),
        query: serde_html_form::to_string(&form).unwrap_or_default(),
        api_query: form.api_query(),
        last: last.unwrap_or_default(),
        head,
        services,
        tail,
        records,
        form,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permalink_shows_what_was_before_its_line() {
        let fields = Fields { at: "db:45,web:123".to_owned(), ..Fields::default() };
        assert_eq!(fields.query(10).after, "db:0,web:73");
    }
}
