//! What callers ask of failures.

use std::sync::Arc;

use chassis::caller::{Caller, Role};
use database::failure;
use prost::Message as _;
use proto::orchestrator::v1;
use proto::{Failure, Reason};
use uuid::Uuid;

use super::stacks::permit;
use crate::app::App;
use crate::db;

/// Failures on one page, at most, and of a caller that does not say. Each has up to 130 KiB, and
/// clients take messages of 4 MiB.
const PAGE_MAX: u32 = 30;
const PAGE_DEFAULT: u32 = 20;

pub(super) async fn list(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::ListFailuresRequest,
) -> Result<v1::ListFailuresResponse, Failure> {
    let project = permit(&caller, &request.project_id, Role::Viewer)?;
    let before = match request.page_token.as_str() {
        "" => None,
        token => Some(token.parse::<Uuid>().map_err(|_| {
            Failure::invalid("page_token", "page_token is none: send what the last page gave")
        })?),
    };
    let size = match request.page_size {
        0 => PAGE_DEFAULT,
        size => size.min(PAGE_MAX),
    };
    let service = (!request.service.is_empty()).then_some(request.service.as_str());
    let found = db::failure::page(&app.pool, project, service, before, i64::from(size)).await;
    let found = found.map_err(failure)?;
    let full = found.len() == size as usize;
    let failures: Vec<v1::Failure> = found
        .iter()
        .map(|bytes| v1::Failure::decode(bytes.as_slice()))
        .collect::<Result<_, _>>()
        .map_err(|error| {
            tracing::error!(error = %error, project.id = %project, "a stored failure is broken");
            Failure::new(Reason::Internal, "a stored failure cannot be read")
        })?;
    let next = failures.last().filter(|_| full).map(|it| it.id.clone());
    Ok(v1::ListFailuresResponse { failures, next_page_token: next.unwrap_or_default() })
}
