//! How stacks do.

use std::sync::Arc;
use std::time::Duration;

use chassis::caller::{Caller, Role};
use chrono::Utc;
use database::failure;
use futures::{StreamExt as _, stream};
use proto::orchestrator::v1;
use proto::{Failure, ProjectId, Reason};
use tokio_stream::wrappers::WatchStream;
use tonic::Status;

use super::stacks::{find, no_stack, permit};
use super::{Answers, wire};
use crate::app::App;
use crate::db;
use crate::health::Health;
use crate::plan::Wish;

/// How long an answer waits for the first look at a stack.
const FIRST_LOOK: Duration = Duration::from_secs(2);

pub(super) async fn get(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::GetHealthRequest,
) -> Result<v1::StackHealth, Failure> {
    let project = permit(&caller, &request.project_id, Role::Viewer)?;
    let removed = is_removed(app, project).await?;
    if removed {
        return Ok(removed_stack(project));
    }
    let place = app.project(project);
    let mut health = place.health.subscribe();
    let looked = tokio::time::timeout(FIRST_LOOK, health.wait_for(Option::is_some)).await;
    let health = looked.ok().and_then(Result::ok).and_then(|it| it.clone());
    Ok(health.map_or_else(|| unknown(project), |it| wire::health(&it)))
}

pub(super) async fn watch(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::WatchHealthRequest,
) -> Result<Answers<v1::StackHealth>, Failure> {
    let project = permit(&caller, &request.project_id, Role::Viewer)?;
    is_removed(app, project).await?;
    let changes = WatchStream::new(app.project(project).health.subscribe());
    let watching = Watching { changes, place: Place { app: app.clone(), project } };
    Ok(Box::pin(stream::unfold(watching, Watching::next)))
}

/// A watch goes on when its stack is removed, and shows the one that comes after it.
struct Watching {
    // First, so that nobody watches when the place is left.
    changes: WatchStream<Option<Arc<Health>>>,
    place: Place,
}

/// Where the health of a project is shown, also while it has no stack.
struct Place {
    app: Arc<App>,
    project: ProjectId,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.app.leave(self.project);
    }
}

impl Watching {
    async fn next(mut self) -> Option<(Result<v1::StackHealth, Status>, Self)> {
        let Place { app, project } = &self.place;
        let answer = match self.changes.next().await? {
            Some(health) => wire::health(&health),
            None => match is_removed(app, *project).await {
                Ok(false) => unknown(*project),
                Ok(true) => removed_stack(*project),
                Err(failure) if failure.reason == Reason::NotFound => removed_stack(*project),
                Err(failure) => return Some((Err(failure.into()), self)),
            },
        };
        Some((Ok(answer), self))
    }
}

pub(super) async fn resources(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::GetResourcesRequest,
) -> Result<v1::StackResources, Failure> {
    let project = permit(&caller, &request.project_id, Role::Viewer)?;
    let (_, stack) = find(app, project).await?;
    let services = stack.services.values().map(|service| {
        let record = app.usage.record(project, &service.name).unwrap_or_default();
        wire::resources(service, &record)
    });
    Ok(v1::StackResources { project_id: project.to_string(), services: services.collect() })
}

/// Whether the stack was removed; there must have been one.
async fn is_removed(app: &App, project: ProjectId) -> Result<bool, Failure> {
    let row = db::stack::get(&app.pool, project).await.map_err(failure)?;
    let row = row.ok_or_else(|| no_stack(project))?;
    let running = db::operation::running(&app.pool, project).await.map_err(failure)?;
    Ok(matches!(row.wish(), Wish::Removed { .. }) && running.is_none())
}

fn unknown(project: ProjectId) -> v1::StackHealth {
    v1::StackHealth {
        project_id: project.to_string(),
        status: "unknown".to_owned(),
        reason: "Docker has not been looked at yet".to_owned(),
        observed_at: Some(proto::time::to_wire(Utc::now())),
        ..v1::StackHealth::default()
    }
}

fn removed_stack(project: ProjectId) -> v1::StackHealth {
    v1::StackHealth {
        status: "stopped".to_owned(),
        reason: "the stack was removed".to_owned(),
        ..unknown(project)
    }
}
