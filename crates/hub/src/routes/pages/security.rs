//! `/projects/{slug}/security`: hardening, and what scanners have found.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};

use super::{
    form::Form,
    frame::{self, Frame, PageError, Visit},
    project::{Head, Part},
};
use crate::{
    app::App,
    hardening::{self, HardeningReport},
    scans::{self, Scan, Verdict},
};

#[derive(Template)]
#[template(path = "security.html")]
struct Page {
    frame: Frame,
    head: Head,
    hardening: Part<Vec<HardeningReport>>,
    verdicts: Part<Vec<Verdict>>,
}

/// The field of the button that scans.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    service: String,
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let head = Head::new(&app, &visit.who, &slug, "security").await?;
    let (hardening, verdicts) = tokio::join!(
        hardening::report(&app, &visit.who, &slug),
        scans::list(&app, &visit.who, &slug)
    );
    Ok(visit.page(&Page {
        frame: visit.frame(format!("Security of {}", head.project.name), "projects"),
        head,
        hardening: Part::of(hardening)?,
        verdicts: Part::of(verdicts)?,
    }))
}

pub(super) async fn scan(
    State(app): State<Arc<App>>,
    visit: Visit,
    Path(slug): Path<String>,
    Form(fields): Form<Fields>,
) -> Result<Response, PageError> {
    let asked = Scan { service: fields.service };
    let result = scans::scan(&app, &visit.who, &slug, asked).await;
    let here = format!("/projects/{slug}/security");
    Ok(frame::outcome(result, &here, "The images were scanned."))
}
