//! `/sources/new` and `/sources/{id}/edit`: the form of a source.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use chassis::caller::Role;
use proto::Failure;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{
    errors::Errors,
    form::Form,
    frame::{self, Frame, PageError, Visit},
};
use crate::{
    app::App,
    priority::Priority,
    projects::Names,
    routes::extract::Query,
    sources::{
        self, Credential, NewSource, ScheduleParams, Source, SourceChange, TestResult, TestSource,
    },
};

/// The form's fields, by the names that failures use.
const FIELDS: [&str; 7] = ["url", "project", "name", "priority", "schedule", "zone", "credential"];

/// A source as a person types it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    #[serde(skip)]
    id: Option<String>,
    kind: String,
    url: String,
    project: String,
    name: String,
    priority: String,
    schedule: String,
    zone: String,
    credential: String,
    credential_name: String,
    credential_secret: SecretString,
    #[serde(skip)]
    has_credential: bool,
    #[serde(skip)]
    errors: Errors,
}

#[derive(Template)]
#[template(path = "source_form.html")]
struct Page {
    frame: Frame,
    form: Fields,
    projects: Vec<String>,
    tested: Option<TestResult>,
    preview: String,
}

impl Fields {
    fn action(&self) -> String {
        self.id.as_ref().map_or_else(|| "/sources".to_owned(), |id| format!("/sources/{id}"))
    }

    fn of(source: Source) -> Self {
        Self {
            id: Some(source.id),
            kind: source.kind,
            url: source.url,
            project: source.project,
            name: source.name,
            priority: source.priority.to_string(),
            schedule: source.schedule,
            zone: source.zone,
            has_credential: !matches!(source.credential.as_str(), "" | "none"),
            ..Self::default()
        }
    }

    fn priority(&self) -> Result<Option<Priority>, Failure> {
        if self.priority.trim().is_empty() {
            return Ok(None);
        }
        Priority::parse(&self.priority).map(Some)
    }

    fn credential(&self) -> Result<Option<Credential>, Failure> {
        let (name, secret) = (self.credential_name.trim().to_owned(), &self.credential_secret);
        let needs = |name_too: bool| {
            if secret.expose_secret().is_empty() || (name_too && name.is_empty()) {
                return Err(Failure::invalid("credential", "fill in what the site wants to see"));
            }
            Ok(secret.clone())
        };
        Ok(match self.credential.as_str() {
            "" => None,
            "none" => Some(Credential::None),
            "basic" => Some(Credential::Basic { password: needs(true)?, username: name }),
            "bearer" => Some(Credential::Bearer { token: needs(false)? }),
            "api_key" => Some(Credential::ApiKey { value: needs(true)?, header: name }),
            other => {
                let text = format!("there is no kind of credential {other:?}");
                return Err(Failure::invalid("credential", text));
            }
        })
    }

    fn new_source(&self) -> Result<NewSource, Failure> {
        let given = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
        Ok(NewSource {
            project: self.project.trim().to_owned(),
            kind: self.kind.clone(),
            name: self.name.trim().to_owned(),
            url: self.url.trim().to_owned(),
            priority: self.priority()?,
            schedule: given(&self.schedule),
            zone: given(&self.zone),
            credential: self.credential()?,
            feed: None,
            paused: false,
        })
    }

    fn change(&self) -> Result<SourceChange, Failure> {
        // A manual source has neither address nor schedule, so its form does not send them.
        let fetched = self.kind != "manual";
        let text = |text: &str| fetched.then(|| text.trim().to_owned());
        Ok(SourceChange {
            name: Some(self.name.trim().to_owned()),
            url: text(&self.url),
            priority: self.priority()?,
            schedule: text(&self.schedule),
            zone: text(&self.zone),
            paused: None,
            credential: self.credential()?,
            feed: None,
        })
    }
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
    Ok(visit.page(&Page {
        frame: visit.frame(title, "sources"),
        projects: Names::load(app, &visit.who).await?.slugs(),
        preview: preview(app, visit, &form.schedule, &form.zone).await,
        form,
        tested,
    }))
}
