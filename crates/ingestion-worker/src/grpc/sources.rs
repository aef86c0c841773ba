//! What callers ask of sources.

mod edit;
mod probe;

use std::sync::Arc;

use chassis::caller::{Caller, Role};
use chrono::Utc;
use database::failure;
use jobs::Job as _;
use proto::ingestion::v1;
use proto::time::to_wire;
use proto::{Failure, ProjectId, Reason, SourceId};

use super::wire;
use crate::app::App;
use crate::db;
use crate::freshness::Freshness;
use crate::source::{Kind, Source};
use crate::stage::{Fetch, Purge};

pub(super) use edit::{create, follow, tell_ranking, update};
pub(super) use probe::test;

/// Sources and runs on one page, at most.
const PAGE_MAX: u32 = 200;

/// Sources and runs on one page of a caller that does not say.
const PAGE_DEFAULT: u32 = 50;

/// Runs of a schedule that a preview shows, at most.
const PREVIEW_MAX: u32 = 10;

/// A source that the caller may see, for someone with this role.
async fn find(app: &App, caller: &Caller, id: &str, role: Role) -> Result<Source, Failure> {
    let id = SourceId::parse("id", id)?;
    let source = db::source::get(&app.pool, id).await.map_err(failure)?;
    permit(source, caller, id, role)
}

/// The source, if the caller may know of it and has the role.
fn permit(
    source: Option<Source>,
    caller: &Caller,
    id: SourceId,
    role: Role,
) -> Result<Source, Failure> {
    let source = source
        .filter(|it| caller.may_read(it.draft.project))
        .ok_or_else(|| Failure::not_found("source", id))?;
    caller.require(role, source.draft.project)?;
    Ok(source)
}

pub(super) async fn get(
    app: &App,
    caller: Arc<Caller>,
    request: v1::GetSourceRequest,
) -> Result<v1::Source, Failure> {
    let source = find(app, &caller, &request.id, Role::Viewer).await?;
    Ok(wire::source(&source, Utc::now()))
}

pub(super) async fn list(
    app: &App,
    caller: Arc<Caller>,
    request: v1::ListSourcesRequest,
) -> Result<v1::ListSourcesResponse, Failure> {
    let asked = request
        .project_ids
        .iter()
        .map(|id| ProjectId::parse("project_ids", id))
        .collect::<Result<Vec<_>, _>>()?;
    let projects = caller.readable(&asked);
    if !request.kind.is_empty() {
        request.kind.parse::<Kind>()?;
    }
    let wanted = (!request.freshness.is_empty())
        .then(|| request.freshness.parse::<Freshness>())
        .transpose()?;
    let mut after = match request.page_token.as_str() {
        "" => SourceId(uuid::Uuid::nil()),
        token => SourceId::parse("page_token", token)?,
    };
    let size = page_size(request.page_size) as usize;
    let (now, mut sources) = (Utc::now(), Vec::new());
    // Freshness is a matter of now, not of a column: pages are read until enough match.
    loop {
        let limit = i64::from(PAGE_MAX);
        let rows = db::source::page(&app.pool, projects.as_deref(), &request.kind, after, limit)
            .await
            .map_err(failure)?;
        let last = rows.len() < PAGE_MAX as usize;
        for source in rows {
            if sources.len() == size {
                let next_page_token = after.to_string();
                return Ok(v1::ListSourcesResponse { sources, next_page_token });
            }
            after = source.id;
            if wanted.is_none_or(|it| it == wire::freshness(&source, now)) {
                sources.push(wire::source(&source, now));
            }
        }
        if last {
            return Ok(v1::ListSourcesResponse { sources, next_page_token: String::new() });
        }
    }
}

pub(super) async fn delete(
    app: &App,
    caller: Arc<Caller>,
    request: v1::DeleteSourceRequest,
) -> Result<v1::DeleteSourceResponse, Failure> {
    let id = SourceId::parse("id", &request.id)?;
    let mut tx = app.pool.begin().await.map_err(failure)?;
    let source = db::source::lock(&mut tx, id).await.map_err(failure)?;
    let source = permit(source, &caller, id, Role::Operator)?;
    let purge = Purge { source: id };
    let enqueued = async {
        db::source::mark_deleting(&mut tx, id).await?;
        jobs::schedule::remove(&mut *tx, &source.schedule_key()).await?;
        let enqueued = jobs::enqueue(&mut tx, purge.job(&source)).await?;
        jobs::ledger::cancel_group(&mut *tx, id.0, Purge::KIND).await?;
        tx.commit().await?;
        Ok(enqueued)
    };
    let enqueued = enqueued.await.map_err(failure)?;
    tracing::info!(source.id = %id, caller = caller.name, "source is being removed");
    Ok(v1::DeleteSourceResponse { job_id: enqueued.id.to_string() })
}

pub(super) async fn run(
    app: &App,
    caller: Arc<Caller>,
    request: v1::RunSourceRequest,
) -> Result<v1::RunSourceResponse, Failure> {
    let id = SourceId::parse("id", &request.id)?;
    let mut tx = app.pool.begin().await.map_err(failure)?;
    let source = db::source::lock(&mut tx, id).await.map_err(failure)?;
    let source = permit(source, &caller, id, Role::Operator)?;
    let name = &source.draft.name;
    if source.deleting {
        let message = format!("the source {name:?} is being removed and cannot run");
        return Err(Failure::new(Reason::Conflict, message));
    }
    if source.draft.kind == Kind::Manual {
        let message = format!(
            "the source {name:?} is manual: nothing is fetched; hand documents over instead"
        );
        return Err(Failure::new(Reason::Conflict, message));
    }
    let fetch = Fetch { source: id };
    let queued = async {
        let job = jobs::enqueue(&mut tx, fetch.job(&source)).await?;
        let run = db::run::queue(&mut tx, id, job.id).await?;
        tx.commit().await?;
        Ok((job, run))
    };
    let (job, run) = queued.await.map_err(failure)?;
    if !job.fresh {
        // A person does not wait for a backoff; a job that runs already is just as good.
        jobs::ledger::retry(&app.pool, job.id).await.ok();
    }
    Ok(v1::RunSourceResponse { job_id: job.id.to_string(), run_id: run.to_string() })
}

pub(super) async fn preview(
    _app: &App,
    caller: Arc<Caller>,
    request: v1::PreviewScheduleRequest,
) -> Result<v1::PreviewScheduleResponse, Failure> {
    caller.require_role(Role::Viewer)?;
    let schedule = wire::schedule(request.schedule)?;
    let count = match request.count {
        0 => wire::NEXT_RUNS,
        count if count <= PREVIEW_MAX => count as usize,
        count => {
            let message = format!("count is {count}: give 1 to {PREVIEW_MAX}");
            return Err(Failure::invalid("count", message));
        }
    };
    if let Some(text) = wire::spread_text(&schedule) {
        return Ok(v1::PreviewScheduleResponse { text, next_runs: Vec::new() });
    }
    let Some(schedule) = wire::parse(&schedule, "")? else {
        let text = wire::BY_HAND.to_owned();
        return Ok(v1::PreviewScheduleResponse { text, next_runs: Vec::new() });
    };
    Ok(v1::PreviewScheduleResponse {
        text: schedule.describe(),
        next_runs: schedule.next_runs(Utc::now(), count).into_iter().map(to_wire).collect(),
    })
}

pub(super) async fn runs(
    app: &App,
    caller: Arc<Caller>,
    request: v1::ListRunsRequest,
) -> Result<v1::ListRunsResponse, Failure> {
    let source = find(app, &caller, &request.source_id, Role::Viewer).await?;
    let limit = i64::from(page_size(request.page_size));
    let runs = db::run::newest(&app.pool, source.id, limit).await.map_err(failure)?;
    Ok(v1::ListRunsResponse { runs: runs.into_iter().map(wire::run).collect() })
}

fn page_size(asked: u32) -> u32 {
    if asked == 0 { PAGE_DEFAULT } else { asked.min(PAGE_MAX) }
}
