//! Sources: where documents come from. Ingestion owns them; the hub names their projects, checks
//! what people send, and records who changed what.

mod input;
mod model;

pub(crate) use input::{Credential, NewSource, ScheduleParams, SourceChange, TestSource};
pub(crate) use model::{Feed, Run, SchedulePreview, Source, TestResult};

use chassis::caller::Role;
use proto::{Failure, ProjectId, SourceId, ingestion::v1 as wire};
use uuid::Uuid;

use crate::{
    app::App,
    audit::{self, Act},
    clients::{INGESTION, refused},
    identity::Identity,
    page::Page,
    projects::{self, Names},
};

/// Past runs that a page shows.
const RUNS: u32 = 20;
/// Sources looked through to turn a name into an id.
const NAMED_SOURCES_MAX: usize = 2_000;

/// What to list.
#[derive(Default)]
pub(crate) struct Filter {
    pub(crate) projects: Vec<String>,
    pub(crate) kind: String,
    pub(crate) freshness: String,
    pub(crate) page_size: u32,
    pub(crate) page_token: String,
}

/// Sources that the caller sees.
pub(crate) async fn list(
    app: &App,
    who: &Identity,
    filter: Filter,
) -> Result<Page<Source>, Failure> {
    let names = Names::load(app, who).await?;
    let request = wire::ListSourcesRequest {
        project_ids: names.ids(&filter.projects)?,
        kind: filter.kind,
        freshness: filter.freshness,
        page_size: filter.page_size,
        page_token: filter.page_token,
    };
    let answer = app.clients.sources(who)?.list_sources(request).await;
    let answer = answer.map_err(refused(INGESTION))?.into_inner();
    Ok(Page {
        items: answer.sources.into_iter().map(|source| Source::new(source, &names)).collect(),
        next_page_token: answer.next_page_token,
    })
}

/// One source.
pub(crate) async fn get(app: &App, who: &Identity, id: &str) -> Result<Source, Failure> {
    let names = Names::load(app, who).await?;
    Ok(Source::new(fetch(app, who, id).await?, &names))
}

/// Adds a source, and its project when it is the first write there.
pub(crate) async fn create(app: &App, who: &Identity, new: NewSource) -> Result<Source, Failure> {
    who.require_role(Role::Operator)?;
    new.check()?;
    let target = projects::ensure(app, who, &new.project).await?;
    let project = target.id;
    let source = match app.clients.sources(who)?.create_source(new.into_wire(project)).await {
        Ok(source) => source.into_inner(),
        Err(status) => {
            let failure = refused(INGESTION)(status);
            projects::withdraw(app, who, &target, &failure).await;
            return Err(failure);
        }
    };
    let names = Names::load(app, who).await?;
    let source = Source::new(source, &names);
    let act = Act::new("source.create", &source.name, &source.id).of(Some(project)).made(&source);
    audit::record_done(app, who, act).await;
    Ok(source)
}

/// Changes a source.
pub(crate) async fn update(
    app: &App,
    who: &Identity,
    id: &str,
    change: SourceChange,
) -> Result<Source, Failure> {
    let before = writable(app, who, id).await?;
    let names = Names::load(app, who).await?;
    let replaces = change.credential.as_ref().is_some_and(|new| !matches!(new, Credential::None));
    let request = change.into_wire(&before);
    let after = app.clients.sources(who)?.update_source(request).await;
    let after = Source::new(after.map_err(refused(INGESTION))?.into_inner(), &names);
    let project = project_of(&before);
    let before = Source::new(before, &names);
    let mut act = Act::new("source.update", &after.name, &after.id)
        .of(project)
        .change(&before.settings(), &after.settings());
    // One of the same kind looks the same.
    if replaces && before.credential == after.credential {
        act = act.secret("credential", "replaced");
    }
    audit::record_done(app, who, act).await;
    Ok(after)
}

/// Marks a source as going away; returns the job that removes its documents.
pub(crate) async fn delete(app: &App, who: &Identity, id: &str) -> Result<String, Failure> {
    let source = writable(app, who, id).await?;
    let request = wire::DeleteSourceRequest { id: source.id.clone() };
    let answer = app.clients.sources(who)?.delete_source(request).await;
    let answer = answer.map_err(refused(INGESTION))?.into_inner();
    let act = Act::new("source.delete", &source.name, &source.id).of(project_of(&source));
    audit::record_done(app, who, act).await;
    Ok(answer.job_id)
}

/// Fetches a source now; returns the job.
pub(crate) async fn run(app: &App, who: &Identity, id: &str) -> Result<String, Failure> {
    let source = writable(app, who, id).await?;
    let request = wire::RunSourceRequest { id: source.id.clone() };
    let answer = app.clients.sources(who)?.run_source(request).await;
    let answer = answer.map_err(refused(INGESTION))?.into_inner();
    let act = Act::new("source.run", &source.name, &source.id).of(project_of(&source));
    audit::record_done(app, who, act).await;
    Ok(answer.job_id)
}

/// Fetches and reads once, without storing anything.
pub(crate) async fn test(
    app: &App,
    who: &Identity,
    test: TestSource,
) -> Result<TestResult, Failure> {
    who.require_role(Role::Operator)?;
    let names = Names::load(app, who).await?;
    let request = test.into_wire(&names)?;
    let answer = app.clients.sources(who)?.test_source(request).await;
    Ok(answer.map_err(refused(INGESTION))?.into_inner().into())
}

/// Fetches an existing source and reads it once, without storing anything.
pub(crate) async fn test_existing(
    app: &App,
    who: &Identity,
    id: &str,
) -> Result<TestResult, Failure> {
    let source = writable(app, who, id).await?;
    let request = wire::TestSourceRequest {
        project_id: source.project_id,
        source_id: source.id,
        ..Default::default()
    };
    let answer = app.clients.sources(who)?.test_source(request).await;
    Ok(answer.map_err(refused(INGESTION))?.into_inner().into())
}

/// Past runs, newest first.
pub(crate) async fn runs(app: &App, who: &Identity, id: &str) -> Result<Vec<Run>, Failure> {
    let source_id = SourceId::parse("id", id)?.to_string();
    let request = wire::ListRunsRequest { source_id, page_size: RUNS };
    let answer = app.clients.sources(who)?.list_runs(request).await;
    Ok(answer.map_err(refused(INGESTION))?.into_inner().runs.into_iter().map(Run::from).collect())
}

/// What a schedule means and when it fires next.
pub(crate) async fn preview_schedule(
    app: &App,
    who: &Identity,
    expression: String,
    zone: String,
) -> Result<SchedulePreview, Failure> {
    let schedule = Some(wire::Schedule { expression, zone });
    let request = wire::PreviewScheduleRequest { schedule, count: 3 };
    let answer = app.clients.sources(who)?.preview_schedule(request).await;
    Ok(answer.map_err(refused(INGESTION))?.into_inner().into())
}

/// The ids of the sources with these ids or names.
pub(crate) async fn ids(
    app: &App,
    who: &Identity,
    projects: &[String],
    keys: &[String],
) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    let mut names: Vec<&String> = Vec::new();
    for key in keys.iter().filter(|key| !key.is_empty()) {
        if Uuid::parse_str(key).is_ok() { ids.push(key.to_lowercase()) } else { names.push(key) }
    }
    if names.is_empty() {
        return Ok(ids);
    }
    let known = named(app, who, projects).await?;
    for name in names {
        let same: Vec<&Source> = known.iter().filter(|source| source.name == *name).collect();
        if same.is_empty() {
            return Err(Failure::not_found("source", name).violation("source", "does not exist"));
        }
        ids.extend(same.into_iter().map(|source| source.id.clone()));
    }
    Ok(ids)
}

/// Every source that the caller sees in the projects, up to a limit, for choices and names.
pub(crate) async fn named(
    app: &App,
    who: &Identity,
    projects: &[String],
) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    let mut page_token = String::new();
    loop {
        let filter = Filter {
            projects: projects.to_vec(),
            page_size: crate::page::SIZE_MAX,
            page_token,
            ..Filter::default()
        };
        let page = list(app, who, filter).await?;
        sources.extend(page.items);
        if page.next_page_token.is_empty() || sources.len() >= NAMED_SOURCES_MAX {
            return Ok(sources);
        }
        page_token = page.next_page_token;
    }
}

/// Whether a project has sources.
pub(crate) async fn any(app: &App, who: &Identity, project: ProjectId) -> Result<bool, Failure> {
    let project_ids = vec![project.to_string()];
    let request = wire::ListSourcesRequest { project_ids, page_size: 1, ..Default::default() };
    let answer = app.clients.sources(who)?.list_sources(request).await;
    Ok(!answer.map_err(refused(INGESTION))?.into_inner().sources.is_empty())
}

async fn fetch(app: &App, who: &Identity, id: &str) -> Result<wire::Source, Failure> {
    let id = SourceId::parse("id", id)?.to_string();
    let answer = app.clients.sources(who)?.get_source(wire::GetSourceRequest { id }).await;
    Ok(answer.map_err(refused(INGESTION))?.into_inner())
}

/// The source, when the caller may change it.
async fn writable(app: &App, who: &Identity, id: &str) -> Result<wire::Source, Failure> {
    who.require_role(Role::Operator)?;
    fetch(app, who, id).await
}

fn project_of(source: &wire::Source) -> Option<ProjectId> {
    source.project_id.parse().ok()
}
