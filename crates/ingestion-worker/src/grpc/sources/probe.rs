//! Looks at a site once without storing anything.

use std::sync::Arc;

use chassis::caller::{Caller, Role};
use proto::ingestion::v1;
use proto::{Failure, ProjectId, Reason};

use super::find;
use crate::app::App;
use crate::fetch;
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
        // A source can be tested before anyone decides where it belongs.
        match request.project_id.as_str() {
            "" => caller.require_role(Role::Operator)?,
            id => caller.require(Role::Operator, ProjectId::parse("project_id", id)?)?,
        }
        feed_only(request.kind.parse()?)?;
        (request.url, wire::credential(request.credential)?)
    } else {
        let source = find(app, &caller, &request.source_id, Role::Operator).await?;
        feed_only(source.draft.kind)?;
        let credential = app.credential(&source)?;
        (source.draft.url, credential)
    };
    let url = check_url(&url)?;
    let asked = slot::ask(&app.pool, &url, app.host_limits()).await;
    let place = match asked.map_err(database::failure)? {
        Asked::Yours(place) => place,
        Asked::Later(wait) | Asked::Held(wait) => return Err(slot::busy(&url, wait)),
    };
    let read = look::read(app, &url, credential, None).await;
    place.release(&app.pool, read.as_ref().err()).await;
    let feed = read?.ok_or_else(|| {
        let message = format!("{} answered 304 to a plain request", fetch::place(&url));
        Failure::new(Reason::FetchFailed, message)
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
