//! Sources as REST shows and takes them.

use chrono::{DateTime, Utc};
use proto::{Failure, ProjectId, ingestion::v1 as wire, time::from_wire};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{priority::Priority, projects::Names};

/// A source of documents.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Source {
    /// Its id.
    pub(crate) id: String,
    /// The slug of its project.
    pub(crate) project: String,
    /// The id of its project.
    pub(crate) project_id: String,
    /// `feed`, `docs`, `webhook`, `watch` or `manual`.
    pub(crate) kind: String,
    /// Its name; search results carry it.
    pub(crate) name: String,
    /// What is fetched; empty for `manual`.
    pub(crate) url: String,
    /// 1 to 10; 10 comes first.
    pub(crate) priority: u32,
    /// `hourly`, `daily`, `weekly` or five cron fields; empty: by hand only.
    pub(crate) schedule: String,
    /// IANA zone of the schedule.
    pub(crate) zone: String,
    /// The schedule in words.
    pub(crate) schedule_text: String,
    /// The next three runs.
    pub(crate) next_runs: Vec<DateTime<Utc>>,
    /// True: it does not run by itself.
    pub(crate) paused: bool,
    /// Feeds only.
    pub(crate) feed: Option<Feed>,
    /// `none`, `basic`, `bearer` or `api_key`; the secret itself is never shown.
    pub(crate) credential: String,
    /// `fresh`, `overdue`, `failing`, `held`, `paused` or `new`.
    pub(crate) freshness: String,
    /// When it was made.
    pub(crate) created_at: Option<DateTime<Utc>>,
    /// When it last ran.
    pub(crate) last_run_at: Option<DateTime<Utc>>,
    /// When it last ran well.
    pub(crate) last_success_at: Option<DateTime<Utc>>,
    /// When it runs next.
    pub(crate) next_run_at: Option<DateTime<Utc>>,
    /// Why the last run failed; empty when it did not.
    pub(crate) last_error: String,
    /// Failed runs in a row.
    pub(crate) consecutive_failures: u32,
    /// Grows with each change.
    pub(crate) version: i64,
    /// True: it is being removed.
    pub(crate) deleting: bool,
}

impl Source {
    /// From the wire, with its project's slug.
    pub(crate) fn new(source: wire::Source, names: &Names) -> Self {
        let schedule = source.schedule.unwrap_or_default();
        let time = |time: Option<prost_types::Timestamp>| time.as_ref().and_then(from_wire);
        Self {
            project: names.slug(&source.project_id),
            next_runs: source.next_runs.iter().filter_map(from_wire).collect(),
            created_at: time(source.created_at),
            last_run_at: time(source.last_run_at),
            last_success_at: time(source.last_success_at),
            next_run_at: time(source.next_run_at),
            feed: source.feed.map(Feed::from),
            id: source.id,
            project_id: source.project_id,
            kind: source.kind,
            name: source.name,
            url: source.url,
            priority: source.priority,
            schedule: schedule.expression,
            zone: schedule.zone,
            schedule_text: source.schedule_text,
            paused: source.paused,
            credential: source.credential,
            freshness: source.freshness,
            last_error: source.last_error,
            consecutive_failures: source.consecutive_failures,
            version: source.version,
            deleting: source.deleting,
        }
    }

    /// What people set, for the audit log: times and counts change by themselves.
    pub(crate) fn settings(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.name, "url": self.url, "priority": self.priority,
            "schedule": self.schedule, "zone": self.zone, "paused": self.paused,
            "credential": self.credential, "feed": self.feed,
        })
    }
}

/// How a feed is read.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Feed {
    /// First import: at most this many entries; 0 means 100.
    pub(crate) first_import_items: u32,
    /// First import: at most this many days back; 0 means 90.
    pub(crate) first_import_days: u32,
    /// Fetch the article when the feed has only a summary; yes when absent.
    pub(crate) full_text: Option<bool>,
}

impl From<wire::FeedOptions> for Feed {
    fn from(feed: wire::FeedOptions) -> Self {
        Self {
            first_import_items: feed.first_import_items,
            first_import_days: feed.first_import_days,
            full_text: feed.full_text,
        }
    }
}

impl From<Feed> for wire::FeedOptions {
    fn from(feed: Feed) -> Self {
        Self {
            first_import_items: feed.first_import_items,
            first_import_days: feed.first_import_days,
            full_text: feed.full_text,
        }
    }
}

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

/// What a source would bring.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestResult {
    /// Whether it could be read.
    pub(crate) ok: bool,
    /// Its own title.
    pub(crate) title: String,
    /// How many items it has.
    pub(crate) items: u32,
    /// The titles of the first items.
    pub(crate) samples: Vec<String>,
    /// Its format, such as `RSS 2.0`.
    pub(crate) format: String,
}

impl From<wire::TestSourceResponse> for TestResult {
    fn from(answer: wire::TestSourceResponse) -> Self {
        Self {
            ok: answer.ok,
            title: answer.title,
            items: answer.items,
            samples: answer.samples,
            format: answer.format,
        }
    }
}

/// What a schedule means.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SchedulePreview {
    /// In words.
    pub(crate) text: String,
    /// The next three runs.
    pub(crate) next_runs: Vec<DateTime<Utc>>,
}

impl From<wire::PreviewScheduleResponse> for SchedulePreview {
    fn from(answer: wire::PreviewScheduleResponse) -> Self {
        Self {
            text: answer.text,
            next_runs: answer.next_runs.iter().filter_map(from_wire).collect(),
        }
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

/// A past run of a source.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Run {
    /// Its id.
    pub(crate) id: String,
    /// The job that carried it out.
    pub(crate) job_id: String,
    /// When it began.
    pub(crate) started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub(crate) finished_at: Option<DateTime<Utc>>,
    /// `running`, `done` or `failed`.
    pub(crate) state: String,
    /// Items seen.
    pub(crate) found: u32,
    /// Items that were new.
    pub(crate) created: u32,
    /// Items that had changed.
    pub(crate) revised: u32,
    /// Items as before.
    pub(crate) unchanged: u32,
    /// Why it failed; empty when it did not.
    pub(crate) error: String,
    /// The site said that nothing is new.
    pub(crate) not_modified: bool,
}

impl From<wire::Run> for Run {
    fn from(run: wire::Run) -> Self {
        Self {
            id: run.id,
            job_id: run.job_id,
            started_at: run.started_at.as_ref().and_then(from_wire),
            finished_at: run.finished_at.as_ref().and_then(from_wire),
            state: run.state,
            found: run.found,
            created: run.created,
            revised: run.revised,
            unchanged: run.unchanged,
            error: run.error,
            not_modified: run.not_modified,
        }
    }
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
