//! The ledger of background work, as people see it and act on it.

mod model;

pub(crate) use model::{Attempt, Counts, DeadGroup, Job};

use ::jobs::ledger::{self, Filter, Page as LedgerPage, Record, State};
use chassis::caller::Role;
use chrono::{DateTime, Utc};
use proto::{Failure, JobId};
use serde_json::json;
use uuid::Uuid;

use crate::{
    app::App,
    audit::{self, Act},
    identity::Identity,
    page::Page,
    projects::Names,
    sources,
};

/// Which jobs, as callers name them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pub(crate) projects: Vec<String>,
    pub(crate) states: Vec<String>,
    pub(crate) kinds: Vec<String>,
    pub(crate) source: String,
    pub(crate) page_size: u32,
    pub(crate) page_token: String,
}

/// Which dead jobs, as callers name them.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeadQuery {
    pub(crate) projects: Vec<String>,
    pub(crate) kind: String,
    pub(crate) signature: String,
    pub(crate) ids: Vec<String>,
}

/// What to do with dead jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeadAction {
    /// Queue them again.
    Retry,
    /// Give them up.
    Discard,
}

/// Jobs that the caller sees, newest first, and how many there are in each state.
pub(crate) async fn list(
    app: &App,
    who: &Identity,
    query: Query,
) -> Result<(Page<Job>, Counts), Failure> {
    let names = Names::load(app, who).await?;
    let mut filter = narrowed(app, who, &names, &query).await?;
    let before = match query.page_token.as_str() {
        "" => None,
        token => Some(JobId::parse("page_token", token)?),
    };
    let page = LedgerPage { before, size: query.page_size };
    let records = ledger::list(&app.pool, &filter, page).await?;
    filter.states.clear();
    let counts = Counts::from(ledger::counts(&app.pool, &filter).await?);
    let next_page_token = match records.last() {
        Some(last) if records.len() == query.page_size as usize => last.id.to_string(),
        _ => String::new(),
    };
    let items = records.into_iter().map(|record| Job::new(record, Vec::new(), &names)).collect();
    Ok((Page { items, next_page_token }, counts))
}

/// One job with its attempts.
pub(crate) async fn get(app: &App, who: &Identity, id: &str) -> Result<Job, Failure> {
    let names = Names::load(app, who).await?;
    let (record, attempts) = readable(app, who, id).await?;
    Ok(Job::new(record, attempts, &names))
}

/// How many jobs there are in each state, among those that the caller sees.
pub(crate) async fn counts(app: &App, who: &Identity) -> Result<Counts, Failure> {
    let filter = Filter { projects: who.caller.readable(&[]), ..Filter::default() };
    Ok(ledger::counts(&app.pool, &filter).await?.into())
}

/// Queues a dead, cancelled or waiting job again.
pub(crate) async fn retry(app: &App, who: &Identity, id: &str) -> Result<Job, Failure> {
    let record = changeable(app, who, id).await?;
    let after = ledger::retry(&app.pool, record.id).await?;
    changed(app, who, "job.retry", &record, after).await
}

/// Ends a job: at once when it waits, within moments when it runs.
pub(crate) async fn cancel(app: &App, who: &Identity, id: &str) -> Result<Job, Failure> {
    let record = changeable(app, who, id).await?;
    let after = ledger::cancel(&app.pool, record.id).await?;
    changed(app, who, "job.cancel", &record, after).await
}

/// Dead jobs by cause, the largest group first.
pub(crate) async fn dead_groups(
    app: &App,
    who: &Identity,
    projects: &[String],
) -> Result<Vec<DeadGroup>, Failure> {
    let names = Names::load(app, who).await?;
    let asked = projects_of(&names, projects)?;
    let projects = who.caller.readable(&asked);
    let groups = ledger::dead_groups(&app.pool, projects.as_deref()).await?;
    Ok(groups.into_iter().map(DeadGroup::from).collect())
}

/// Retries or discards every dead job that matches and says how many; `dry_run` only counts.
pub(crate) async fn act_on_dead(
    app: &App,
    who: &Identity,
    action: DeadAction,
    query: DeadQuery,
    dry_run: bool,
) -> Result<u64, Failure> {
    who.require_role(Role::Operator)?;
    let names = Names::load(app, who).await?;
    let asked = projects_of(&names, &query.projects)?;
    let ids = query.ids.iter().map(|id| JobId::parse("ids", id)).collect::<Result<_, _>>()?;
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let filter = Filter {
        projects: who.caller.readable(&asked),
        kinds: some(&query.kind).into_iter().collect(),
        signature: some(&query.signature),
        ids,
        ..Filter::default()
    };
    let (count, verb) = match action {
        DeadAction::Retry => (ledger::retry_dead(&app.pool, &filter, dry_run).await?, "dead.retry"),
        DeadAction::Discard => {
            (ledger::discard_dead(&app.pool, &filter, dry_run).await?, "dead.discard")
        }
    };
    if !dry_run {
        let act = Act::new(verb, &query.kind, &query.signature)
            .of(asked.first().copied().filter(|_| asked.len() == 1))
            .made(&json!({ "jobs": count, "projects": query.projects, "ids": query.ids }));
        audit::record_done(app, who, act).await;
    }
    Ok(count)
}

/// Jobs that run, or that changed since `since`, for live views.
pub(crate) async fn changes(
    app: &App,
    who: &Identity,
    names: &Names,
    since: DateTime<Utc>,
) -> Result<Vec<Job>, Failure> {
    let projects = who.caller.readable(&[]);
    let records = ledger::changes(&app.pool, projects.as_deref(), since).await?;
    Ok(records.into_iter().map(|record| Job::new(record, Vec::new(), names)).collect())
}

async fn narrowed(
    app: &App,
    who: &Identity,
    names: &Names,
    query: &Query,
) -> Result<Filter, Failure> {
    let asked = projects_of(names, &query.projects)?;
    let source = [query.source.clone()];
    // Several sources may have the name.
    let groups = sources::ids(app, who, &query.projects, &source).await?;
    let given = |values: &[String]| -> Vec<String> {
        values.iter().filter(|value| !value.is_empty()).cloned().collect()
    };
    Ok(Filter {
        projects: who.caller.readable(&asked),
        states: given(&query.states)
            .iter()
            .map(|state| state.parse::<State>())
            .collect::<Result<_, _>>()?,
        kinds: given(&query.kinds),
        groups: groups.iter().filter_map(|id| id.parse::<Uuid>().ok()).collect(),
        ..Filter::default()
    })
}

fn projects_of(names: &Names, keys: &[String]) -> Result<Vec<proto::ProjectId>, Failure> {
    keys.iter().filter(|key| !key.is_empty()).map(|key| names.id(key)).collect()
}

/// The job, when it belongs to a project of the caller's; work of no project is for those who
/// see everything.
async fn readable(
    app: &App,
    who: &Identity,
    id: &str,
) -> Result<(Record, Vec<ledger::Attempt>), Failure> {
    let id = JobId::parse("id", id)?;
    let found = ledger::get(&app.pool, id).await?;
    match found.0.project {
        Some(project) if who.caller.may_read(project) => Ok(found),
        None if who.caller.scope == chassis::caller::Scope::All => Ok(found),
        _ => Err(Failure::not_found("job", id)),
    }
}

async fn changeable(app: &App, who: &Identity, id: &str) -> Result<Record, Failure> {
    let (record, _) = readable(app, who, id).await?;
    who.require_role(Role::Operator)?;
    Ok(record)
}

async fn changed(
    app: &App,
    who: &Identity,
    action: &str,
    before: &Record,
    after: Record,
) -> Result<Job, Failure> {
    let id = before.id.to_string();
    let state = |record: &Record| json!({ "state": record.state.as_str() });
    let act = Act::new(action, &before.subject, &id)
        .of(before.project)
        .change(&state(before), &state(&after));
    audit::record_done(app, who, act).await;
    let names = Names::load(app, who).await?;
    Ok(Job::new(after, Vec::new(), &names))
}
