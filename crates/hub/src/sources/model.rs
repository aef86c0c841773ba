//! Sources as REST shows them.

use chrono::{DateTime, Utc};
use proto::{ingestion::v1 as wire, time::from_wire};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::projects::Names;

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
