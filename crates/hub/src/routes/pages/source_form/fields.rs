//! The fields of a source's form, and the requests that they make.

use proto::Failure;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    priority::Priority,
    routes::pages::errors::Errors,
    sources::{Credential, Feed, NewSource, Source, SourceChange},
};

/// A source as a person types it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::routes::pages) struct Fields {
    #[serde(skip)]
    pub(super) id: Option<String>,
    pub(super) kind: String,
    pub(super) url: String,
    pub(super) project: String,
    pub(super) name: String,
    pub(super) priority: String,
    pub(super) schedule: String,
    pub(super) zone: String,
    pub(super) credential: String,
    pub(super) credential_name: String,
    pub(super) credential_secret: SecretString,
    pub(super) first_import_items: String,
    pub(super) first_import_days: String,
    pub(super) summaries_only: bool,
    pub(super) paused: bool,
    #[serde(skip)]
    pub(super) has_credential: bool,
    #[serde(skip)]
    pub(super) errors: Errors,
}

impl Fields {
    pub(super) fn action(&self) -> String {
        self.id.as_ref().map_or_else(|| "/sources".to_owned(), |id| format!("/sources/{id}"))
    }

    pub(super) fn of(source: Source) -> Self {
        let feed = source.feed.unwrap_or_default();
        let number = |number: u32| if number == 0 { String::new() } else { number.to_string() };
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
            first_import_items: number(feed.first_import_items),
            first_import_days: number(feed.first_import_days),
            summaries_only: feed.full_text == Some(false),
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
        let typed = !secret.expose_secret().is_empty();
        let needs = |name_too: bool| {
            if !typed || (name_too && name.is_empty()) {
                return Err(Failure::invalid("credential", "fill in what the site wants to see"));
            }
            Ok(secret.clone())
        };
        Ok(match self.credential.as_str() {
            "" | "none" if typed => {
                let text = "choose the kind of credential that this is, or empty the field";
                return Err(Failure::invalid("credential", text));
            }
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

    /// Whether the form was sent with a secret, which comes back empty.
    pub(super) fn sends_secret(&self) -> bool {
        matches!(self.credential.as_str(), "basic" | "bearer" | "api_key")
    }

    /// How a feed is read; other kinds have no such settings.
    fn feed(&self) -> Result<Option<Feed>, Failure> {
        if self.kind != "feed" {
            return Ok(None);
        }
        let number = |field: &str, text: &str| match text.trim() {
            "" => Ok(0),
            text => text.parse().map_err(|_| {
                Failure::invalid(field, format!("{text:?} is not a whole number; empty it"))
            }),
        };
        Ok(Some(Feed {
            first_import_items: number("first_import_items", &self.first_import_items)?,
            first_import_days: number("first_import_days", &self.first_import_days)?,
            full_text: Some(!self.summaries_only),
        }))
    }

    /// Whether the settings of feeds hold something to be seen at once.
    pub(super) fn shows_feed(&self) -> bool {
        let fault = |field| self.errors.of(field).is_some();
        self.paused
            || self.summaries_only
            || fault("first_import_items")
            || fault("first_import_days")
    }

    pub(super) fn new_source(&self) -> Result<NewSource, Failure> {
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
            feed: self.feed()?,
            paused: self.paused,
        })
    }

    pub(super) fn change(&self) -> Result<SourceChange, Failure> {
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
            feed: self.feed()?,
        })
    }
}
