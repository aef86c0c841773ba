//! Looks at a site once without storing anything.

use std::sync::Arc;

use chassis::caller::{Caller, Role};
use proto::ingestion::v1;
use proto::{Failure, ProjectId, Reason};

use super::find;
use crate::app::App;
use crate::grpc::wire;
use crate::slot::{self, Asked};
use crate::source::{Kind, check_url};
use crate::stage::fetch::look;

/// Titles that an answer shows.
const SAMPLES: usize = 5;

pub(in crate::grpc) async fn test(
    app: &App,
    caller: Arc<Caller>,
    request: v1::TestSourceRequest,
) -> Result<v1::TestSourceResponse, Failure> {
    let (url, credential) = if request.source_id.is_empty() {
        let project = ProjectId::parse("project_id", &request.project_id)?;
        caller.require(Role::Operator, project)?;
        feed_only(request.kind.parse()?)?;
        (request.url, wire::credential(request.credential)?)
    } else {
        let source = find(app, &caller, &request.source_id, Role::Operator).await?;
        feed_only(source.draft.kind)?;
        let credential = app.credential(&source)?;
        (source.draft.url, credential)
    };
    let url = check_url(&url)?;
    let asked = slot::ask(&app.pool, &url, app.config.host_limits()).await;
    let place = match asked.map_err(database::failure)? {
        Asked::Yours(place) => place,
        Asked::Later(wait) => return Err(slot::busy(&url, wait)),
    };
    let read = look::read(app, &url, credential, None).await;
    let hold = read.as_ref().err().and_then(|failure| failure.retry_after);
    place.release(&app.pool, hold).await;
    let feed = read?.ok_or_else(|| {
        Failure::new(Reason::FetchFailed, format!("{url} answered 304 to a plain request"))
    })?;
    let feed = feed.feed;
    Ok(v1::TestSourceResponse {
        ok: true,
        title: feed.title.clone().unwrap_or_default(),
        items: u32::try_from(feed.entries.len()).unwrap_or(u32::MAX),
        samples: feed.entries.iter().take(SAMPLES).map(|it| it.title.clone()).collect(),
        format: "feed".to_owned(),
    })
}

fn feed_only(kind: Kind) -> Result<(), Failure> {
    match kind {
        Kind::Feed => Ok(()),
        Kind::Manual => Err(Failure::invalid(
            "kind",
            "a manual source has nothing to test, as nothing is fetched; test a feed",
        )),
    }
}
