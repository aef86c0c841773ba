//! `/`: one line that says whether all is well, and what is not.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};

use super::frame::{Frame, PageError, Visit};
use crate::{
    app::App,
    audit::{self, AuditEntry},
    sources::{self, Source},
    status::{self, Status},
};

/// Sources in the list of what needs care.
const SOURCES_SHOWN_MAX: usize = 10;
/// Acts on the page.
const ACTS_SHOWN: u32 = 8;

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    frame: Frame,
    look: &'static str,
    headline: String,
    attention: Vec<Attention>,
    status: Status,
    sources: u64,
    recent: Vec<AuditEntry>,
}

/// Something that needs a person.
struct Attention {
    state: &'static str,
    href: String,
    name: String,
    why: String,
}

pub(super) async fn show(State(app): State<Arc<App>>, visit: Visit) -> Result<Response, PageError> {
    let status = status::status(&app, &visit.who).await?;
    // Ingestion that does not answer is told by the status already.
    let sources = sources::named(&app, &visit.who, &[]).await.unwrap_or_default();
    let recent = match visit.who.administers() {
        true => audit::list(&app, &visit.who, None, ACTS_SHOWN).await?.items,
        false => Vec::new(),
    };
    let attention = attention(&status, &sources);
    let (look, headline) = headline(&status, attention.len());
    Ok(visit.page(&Page {
        frame: visit.frame("Overview", "overview"),
        look,
        headline,
        attention,
        status,
        sources: sources.len() as u64,
        recent,
    }))
}

fn headline(status: &Status, needs: usize) -> (&'static str, String) {
    match (status.state.as_str(), needs) {
        ("failed", _) => ("bad", "A service has failed".to_owned()),
        ("starting" | "stopping", _) => ("warn", format!("CommandCenter is {}", status.state)),
        (_, 0) => ("good", "All is well".to_owned()),
        (_, 1) => ("warn", "One thing needs you".to_owned()),
        (_, needs) => ("warn", format!("{needs} things need you")),
    }
}

fn attention(status: &Status, sources: &[Source]) -> Vec<Attention> {
    let mut list = Vec::new();
    for service in &status.services {
        if !matches!(service.state.as_str(), "ready" | "starting") {
            list.push(Attention {
                state: if service.state == "degraded" { "degraded" } else { "failed" },
                href: "/api/docs".to_owned(),
                name: service.name.clone(),
                why: service.reason.clone(),
            });
        }
    }
    if status.jobs.dead > 0 {
        list.push(Attention {
            state: "dead",
            href: "/dead-letters".to_owned(),
            name: format!("{} dead letters", status.jobs.dead),
            why: "jobs gave up; see their causes".to_owned(),
        });
    }
    if !status.index.warning.is_empty() {
        list.push(Attention {
            state: "degraded",
            href: "/search".to_owned(),
            name: "Search".to_owned(),
            why: status.index.warning.clone(),
        });
    }
    let bad =
        |source: &&Source| matches!(source.freshness.as_str(), "failing" | "overdue" | "held");
    list.extend(sources.iter().filter(bad).take(SOURCES_SHOWN_MAX).map(|source| Attention {
        state: match source.freshness.as_str() {
            "failing" => "failing",
            "held" => "held",
            _ => "overdue",
        },
        href: format!("/sources/{}", source.id),
        name: source.name.clone(),
        why: source.last_error.clone(),
    }));
    list
}
