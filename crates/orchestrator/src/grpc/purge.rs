//! Removes everything that a project has here, for the hub, which asks until nothing is left.

use std::sync::Arc;
use std::time::Duration;

use chassis::caller::{Caller, Role};
use database::failure;
use proto::orchestrator::v1;
use proto::{Failure, ProjectId, Reason};

use super::stacks::{permit, wish};
use crate::app::App;
use crate::db;
use crate::observe::observe;
use crate::observed::Observed;
use crate::operation::Kind;
use crate::plan::Wish;

/// When to ask again while Docker does not answer.
const RETRY_AFTER: Duration = Duration::from_secs(5);

pub(super) async fn purge(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::PurgeProjectRequest,
) -> Result<v1::PurgeProjectResponse, Failure> {
    let project = permit(&caller, &request.project_id, Role::Service)?;
    let done = match db::stack::get(&app.pool, project).await.map_err(failure)? {
        Some(row) => removed(app, &caller, project, row.wish()).await?,
        None => true,
    };
    if done {
        // The rows go last: as long as there is one, the purge can be asked for again.
        app.logs.forget(project).await?;
        db::purge::project(&app.pool, project).await.map_err(failure)?;
        app.usage.retain(project, |_| false);
        app.forget(project);
        tracing::info!(project.id = %project, caller = caller.name, "a project is purged");
    }
    Ok(v1::PurgeProjectResponse { done })
}

/// Whether nothing of the stack is left; what is left is removed meanwhile.
async fn removed(
    app: &Arc<App>,
    caller: &Caller,
    project: ProjectId,
    now: Wish,
) -> Result<bool, Failure> {
    let all = Wish::Removed { volumes: true };
    let running = db::operation::running(&app.pool, project).await.map_err(failure)?;
    if now == all && running.is_some() {
        return Ok(false);
    }
    if now == all && left(app, project).await? == Observed::default() {
        return Ok(true);
    }
    wish(app, caller, project, Kind::Remove, all).await?;
    Ok(false)
}

async fn left(app: &App, project: ProjectId) -> Result<Observed, Failure> {
    observe(&app.docker, &app.naming(project)).await.map_err(|error| {
        let message = format!("what is left of the project cannot be seen: {error}");
        Failure::new(Reason::Unavailable, message).retry_after(RETRY_AFTER)
    })
}
