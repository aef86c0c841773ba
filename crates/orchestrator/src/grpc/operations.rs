//! What callers ask of operations.

use std::sync::Arc;
use std::time::Duration;

use chassis::caller::{Caller, Role};
use database::failure;
use futures::stream;
use proto::orchestrator::v1;
use proto::{Failure, OperationId};
use tonic::Status;

use super::stacks::permit;
use super::{Answers, wire};
use crate::app::App;
use crate::db;

/// Operations on one page, at most, and of a caller that does not say.
const PAGE_MAX: u32 = 200;
const PAGE_DEFAULT: u32 = 50;

/// How often an operation is looked at that another replica may be carrying out.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

pub(super) async fn get(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::GetOperationRequest,
) -> Result<v1::Operation, Failure> {
    find(app, &caller, &request.id).await
}

/// An operation with its steps, if the caller may know of it.
async fn find(app: &App, caller: &Caller, id: &str) -> Result<v1::Operation, Failure> {
    let id = OperationId::parse("id", id)?;
    let operation = db::operation::get(&app.pool, id).await.map_err(failure)?;
    let operation = operation
        .filter(|it| caller.may_read(it.project_id))
        .ok_or_else(|| Failure::not_found("operation", id))?;
    caller.require_role(Role::Viewer)?;
    let steps = db::operation::steps(&app.pool, id).await.map_err(failure)?;
    Ok(wire::operation(operation, steps))
}

pub(super) async fn list(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::ListOperationsRequest,
) -> Result<v1::ListOperationsResponse, Failure> {
    let project = permit(&caller, &request.project_id, Role::Viewer)?;
    let before = match request.page_token.as_str() {
        "" => None,
        token => Some(OperationId::parse("page_token", token)?),
    };
    let size = match request.page_size {
        0 => PAGE_DEFAULT,
        size => size.min(PAGE_MAX),
    };
    let found = db::operation::page(&app.pool, project, before, i64::from(size)).await;
    let found = found.map_err(failure)?;
    let full = found.len() == size as usize;
    let next = found.last().filter(|_| full).map(|it| it.id.to_string());
    Ok(v1::ListOperationsResponse {
        operations: found.into_iter().map(|it| wire::operation(it, Vec::new())).collect(),
        next_page_token: next.unwrap_or_default(),
    })
}

pub(super) async fn watch(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::WatchOperationRequest,
) -> Result<Answers<v1::Operation>, Failure> {
    let first = find(app, &caller, &request.id).await?;
    let watch = Watch {
        changes: app.operations.subscribe(),
        app: app.clone(),
        caller,
        last: None,
        next: Some(first),
    };
    Ok(Box::pin(stream::unfold(watch, Watch::next)))
}

struct Watch {
    app: Arc<App>,
    caller: Arc<Caller>,
    changes: tokio::sync::watch::Receiver<u64>,
    last: Option<v1::Operation>,
    next: Option<v1::Operation>,
}

impl Watch {
    /// The operation when it differs from the last answer; nothing after its end.
    async fn next(mut self) -> Option<(Result<v1::Operation, Status>, Self)> {
        loop {
            if self.last.as_ref().is_some_and(|it| it.state != "running") {
                return None;
            }
            let seen = match self.next.take() {
                Some(first) => first,
                None => {
                    // The sender lives as long as the service.
                    let changed = self.changes.changed();
                    tokio::time::timeout(WATCH_INTERVAL, changed).await.ok();
                    let id = self.last.as_ref().map(|it| it.id.clone()).unwrap_or_default();
                    match find(&self.app, &self.caller, &id).await {
                        Ok(seen) => seen,
                        Err(failure) if failure.is_transient() => continue,
                        Err(failure) => return Some((Err(failure.into()), self)),
                    }
                }
            };
            if self.last.as_ref() != Some(&seen) {
                self.last = Some(seen.clone());
                return Some((Ok(seen), self));
            }
        }
    }
}
