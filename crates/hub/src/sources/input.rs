//! Sources as callers describe them: to add, to change, to try.

use proto::{Failure, ProjectId, ingestion::v1 as wire};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::model::Feed;
use crate::{priority::Priority, projects::Names};

/// What a site wants to see; sealed at rest, never shown again, never sent to another host.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Credential {
    /// Nothing; in a change it removes what there was.
    None,
    /// HTTP Basic.
    Basic {
        /// The user's name.
        username: String,
        /// The password.
        #[schema(value_type = String)]
        password: SecretString,
    },
    /// `Authorization: Bearer`.
    Bearer {
        /// The token.
        #[schema(value_type = String)]
        token: SecretString,
    },
    /// A header of the site's own.
    ApiKey {
        /// The header's name.
        header: String,
        /// Its value.
        #[schema(value_type = String)]
        value: SecretString,
    },
}

impl Credential {
    fn into_wire(self) -> Option<wire::Credential> {
        use wire::credential::{ApiKey, Basic, Kind};
        let open = |secret: SecretString| secret.expose_secret().to_owned();
        let kind = match self {
            Self::None => return None,
            Self::Basic { username, password } => {
                Kind::Basic(Basic { username, password: open(password) })
            }
            Self::Bearer { token } => Kind::Bearer(open(token)),
            Self::ApiKey { header, value } => Kind::ApiKey(ApiKey { header, value: open(value) }),
        };
        Some(wire::Credential { kind: Some(kind) })
    }
}

/// A source to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSource {
    /// Id or slug; an operator of all projects makes a new one by naming it.
    pub(crate) project: String,
    /// `feed` or `manual`.
    pub(crate) kind: String,
    /// For people; the URL's host when absent.
    #[serde(default)]
    pub(crate) name: String,
    /// What to fetch.
    #[serde(default)]
    pub(crate) url: String,
    /// 1 to 10; 5 when absent.
    pub(crate) priority: Option<Priority>,
    /// `hourly`, `daily`, `weekly` or five cron fields; absent: by hand only.
    pub(crate) schedule: Option<String>,
    /// IANA zone of the schedule; UTC when absent.
    pub(crate) zone: Option<String>,
    /// What the site wants to see.
    pub(crate) credential: Option<Credential>,
    /// Feeds only.
    pub(crate) feed: Option<Feed>,
    /// True: it does not run by itself yet.
    #[serde(default)]
    pub(crate) paused: bool,
}

impl NewSource {
    /// Refuses what would make a project before ingestion refuses the source.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.kind.is_empty() {
            return Err(Failure::invalid("kind", "say which kind of source: feed or manual"));
        }
        if self.kind == "feed" {
            check_url(&self.url)?;
        }
        Ok(())
    }

    /// To the wire.
    pub(crate) fn into_wire(self, project: ProjectId) -> wire::CreateSourceRequest {
        wire::CreateSourceRequest {
            project_id: project.to_string(),
            kind: self.kind,
            name: self.name,
            url: self.url,
            priority: self.priority.map(Priority::get),
            schedule: schedule(self.schedule, self.zone),
            credential: self.credential.and_then(Credential::into_wire),
            feed: self.feed.map(wire::FeedOptions::from),
            paused: self.paused,
        }
    }
}

/// Changes to a source; what is absent stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceChange {
    /// For people.
    pub(crate) name: Option<String>,
    /// What to fetch.
    pub(crate) url: Option<String>,
    /// 1 to 10.
    pub(crate) priority: Option<Priority>,
    /// `hourly`, `daily`, `weekly` or five cron fields; empty: by hand only.
    pub(crate) schedule: Option<String>,
    /// IANA zone of the schedule.
    pub(crate) zone: Option<String>,
    /// True: it does not run by itself.
    pub(crate) paused: Option<bool>,
    /// What the site wants to see; `{"kind": "none"}` removes it.
    pub(crate) credential: Option<Credential>,
    /// Feeds only.
    pub(crate) feed: Option<Feed>,
}

impl SourceChange {
    /// To the wire. A schedule travels whole, so its other half comes from the source.
    pub(crate) fn into_wire(self, before: &wire::Source) -> wire::UpdateSourceRequest {
        let old = before.schedule.clone().unwrap_or_default();
        let schedule = (self.schedule.is_some() || self.zone.is_some()).then(|| wire::Schedule {
            expression: self.schedule.unwrap_or(old.expression),
            zone: self.zone.unwrap_or(old.zone),
        });
        wire::UpdateSourceRequest {
            id: before.id.clone(),
            name: self.name,
            url: self.url,
            priority: self.priority.map(Priority::get),
            schedule,
            paused: self.paused,
            clear_credential: matches!(self.credential, Some(Credential::None)),
            credential: self.credential.and_then(Credential::into_wire),
            feed: self.feed.map(wire::FeedOptions::from),
        }
    }
}

/// A source to try without adding it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestSource {
    /// `feed`.
    pub(crate) kind: String,
    /// What to fetch.
    pub(crate) url: String,
    /// What the site wants to see.
    pub(crate) credential: Option<Credential>,
    /// Id or slug of a project that exists.
    pub(crate) project: Option<String>,
}

impl TestSource {
    /// To the wire.
    pub(crate) fn into_wire(self, names: &Names) -> Result<wire::TestSourceRequest, Failure> {
        check_url(&self.url)?;
        // A project that the first write will make is no obstacle to trying.
        let project = self.project.filter(|key| !key.is_empty());
        let project_id = project.and_then(|key| names.id(&key).ok());
        Ok(wire::TestSourceRequest {
            kind: self.kind,
            url: self.url,
            credential: self.credential.and_then(Credential::into_wire),
            source_id: String::new(),
            project_id: project_id.map(|id| id.to_string()).unwrap_or_default(),
        })
    }
}

/// A schedule to explain.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ScheduleParams {
    /// `hourly`, `daily`, `weekly` or five cron fields.
    pub(crate) expression: String,
    /// IANA zone; UTC when absent.
    #[serde(default)]
    pub(crate) zone: String,
}

fn schedule(expression: Option<String>, zone: Option<String>) -> Option<wire::Schedule> {
    expression.map(|expression| wire::Schedule { expression, zone: zone.unwrap_or_default() })
}

fn check_url(text: &str) -> Result<(), Failure> {
    let good = url::Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if good {
        return Ok(());
    }
    Err(Failure::invalid(
        "url",
        format!("{text:?} is not a web address; write it in full, https://example.org/feed.xml"),
    ))
}
