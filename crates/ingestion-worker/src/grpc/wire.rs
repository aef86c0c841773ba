//! Sources and runs as they go over the wire.

use chrono::{DateTime, Utc};
use proto::Failure;
use proto::ingestion::v1 as wire;
use proto::time::to_wire;

use crate::credential;
use crate::db::run::Run;
use crate::fetch::Credential;
use crate::freshness::{Facts, Freshness, judge};
use crate::source::{Checks, Options, Schedule, Source, check_options};

/// What a source without a schedule says.
pub(super) const BY_HAND: &str = "by hand only";

/// How many coming runs a source shows.
pub(super) const NEXT_RUNS: usize = 3;

/// How a source is doing at `now`.
pub(super) fn freshness(source: &Source, now: DateTime<Utc>) -> Freshness {
    // A look that an older schedule did not want, or that fell into a pause, is not overdue.
    let since = source.scheduled_at.max(source.last_success_at.unwrap_or(source.created_at));
    let due_at = next_runs(source, since, 1).first().copied();
    let facts = Facts {
        paused: source.draft.paused,
        held: source.held,
        consecutive_failures: source.consecutive_failures,
        last_success_at: source.last_success_at,
        due_at,
    };
    judge(&facts, now)
}

/// The next runs of a source after a moment; none when it runs by hand only.
fn next_runs(source: &Source, after: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
    let schedule = parse(&source.draft.schedule, &source.schedule_key()).ok().flatten();
    schedule.map(|it| it.next_runs(after, count)).unwrap_or_default()
}

/// A source as it is shown at `now`.
pub(super) fn source(source: &Source, now: DateTime<Utc>) -> wire::Source {
    let draft = &source.draft;
    let runs = !draft.paused && !source.deleting;
    let next = if runs { next_runs(source, now, NEXT_RUNS) } else { Vec::new() };
    wire::Source {
        id: source.id.to_string(),
        project_id: draft.project.to_string(),
        kind: draft.kind.to_string(),
        name: draft.name.clone(),
        url: draft.url.clone(),
        priority: u32::from(draft.priority),
        schedule: Some(wire::Schedule {
            expression: draft.schedule.expression.clone(),
            zone: draft.schedule.zone.clone(),
        }),
        paused: draft.paused,
        feed: Some(wire::FeedOptions {
            first_import_items: draft.options.first_import_items,
            first_import_days: draft.options.first_import_days,
            full_text: Some(draft.options.full_text),
        }),
        credential: source.credential_kind.clone(),
        freshness: freshness(source, now).to_string(),
        created_at: Some(to_wire(source.created_at)),
        last_run_at: source.last_run_at.map(to_wire),
        last_success_at: source.last_success_at.map(to_wire),
        next_run_at: next.first().copied().map(to_wire),
        next_runs: next.into_iter().map(to_wire).collect(),
        last_error: source.last_error.clone(),
        consecutive_failures: source.consecutive_failures,
        version: source.version,
        deleting: source.deleting,
        schedule_text: schedule_text(source),
    }
}

/// A source's schedule in words.
fn schedule_text(source: &Source) -> String {
    let schedule = parse(&source.draft.schedule, &source.schedule_key()).ok().flatten();
    schedule.map_or_else(|| BY_HAND.to_owned(), |it| it.describe())
}

/// What a schedule says whose time each source gets for itself: until there is one, nobody knows it.
pub(super) fn spread_text(schedule: &Schedule) -> Option<String> {
    let period = schedule.expression.to_lowercase();
    let zone = &schedule.zone;
    matches!(period.as_str(), "hourly" | "daily" | "weekly")
        .then(|| format!("{period}, at a time that differs from source to source ({zone})"))
}

/// A run as it is shown.
pub(super) fn run(run: Run) -> wire::Run {
    let unsigned = |number: i32| u32::try_from(number).unwrap_or(0);
    wire::Run {
        id: run.id.to_string(),
        job_id: run.job_id.to_string(),
        started_at: Some(to_wire(run.started_at)),
        finished_at: run.finished_at.map(to_wire),
        state: run.state,
        found: unsigned(run.found),
        created: unsigned(run.created),
        revised: unsigned(run.revised),
        unchanged: unsigned(run.unchanged),
        error: run.error,
        not_modified: run.not_modified,
    }
}

/// A credential as it comes in; an empty message means none.
pub(super) fn credential(wire: Option<wire::Credential>) -> Result<Option<Credential>, Failure> {
    use wire::credential::Kind;
    match wire.and_then(|it| it.kind) {
        None => Ok(None),
        Some(Kind::Basic(it)) => credential::basic(&it.username, &it.password).map(Some),
        Some(Kind::Bearer(token)) => credential::bearer(&token).map(Some),
        Some(Kind::ApiKey(it)) => credential::api_key(&it.header, &it.value).map(Some),
    }
}

/// A schedule as it comes in, checked.
pub(super) fn schedule(wire: Option<wire::Schedule>) -> Result<Schedule, Failure> {
    let wire = wire.unwrap_or_default();
    let zone = wire.zone.trim();
    let schedule = Schedule {
        expression: wire.expression.trim().to_owned(),
        zone: if zone.is_empty() { "UTC" } else { zone }.to_owned(),
    };
    // Each by itself, so that a form hears of both; a zone also of a source that runs by hand.
    let zone_only = Schedule { expression: "hourly".to_owned(), ..schedule.clone() };
    let expression_only = Schedule { zone: "UTC".to_owned(), ..schedule.clone() };
    let mut checks = Checks::default();
    checks.take(parse(&zone_only, ""));
    checks.take(parse(&expression_only, ""));
    checks.finish(Some(schedule))
}

/// A schedule ready to compute with; `None` when it has no expression. The key spreads `hourly`
/// and its like over their period.
pub(super) fn parse(schedule: &Schedule, key: &str) -> Result<Option<jobs::Schedule>, Failure> {
    if schedule.expression.is_empty() {
        return Ok(None);
    }
    jobs::Schedule::parse(&schedule.expression, &schedule.zone, key).map(Some)
}

/// How a feed is to be read, as it comes in, checked.
pub(super) fn options(wire: Option<wire::FeedOptions>) -> Result<Options, Failure> {
    let wire = wire.unwrap_or_default();
    check_options(wire.first_import_items, wire.first_import_days, wire.full_text)
}
