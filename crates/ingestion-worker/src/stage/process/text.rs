//! The text of a document: Markdown, whatever it was, and the whole article where a feed has only
//! a summary.

use std::time::Duration;

use jobs::Error;
use sqlx::types::Json;
use url::Url;

use crate::app::App;
use crate::charset;
use crate::db::blob::Blob;
use crate::document::Metadata;
use crate::handed::MediaType;
use crate::page;
use crate::slot::{self, Asked};
use crate::source::Source;

/// A site that fails is asked for an article this often; then the summary has to do.
const PAGE_TRIES: u32 = 3;

/// What came of normalising.
pub(super) enum Text {
    /// The text.
    Ready(Normalised),
    /// The site wants us to wait.
    Later(Duration),
}

/// A document's text with what is said about it.
pub(super) struct Normalised {
    /// Markdown.
    pub(super) markdown: String,
    /// Title, authors, dates, tags.
    pub(super) metadata: Metadata,
    /// Whether a page was fetched for it.
    pub(super) from_page: bool,
}

impl Normalised {
    /// The form that needs no page any more.
    pub(super) fn into_blob(self, of: &Blob) -> Blob {
        let metadata = Metadata { is_summary: false, ..self.metadata };
        Blob {
            observed_seq: of.observed_seq,
            metadata: Json(metadata),
            media_type: MediaType::Markdown.as_str().to_owned(),
            content: self.markdown.into_bytes(),
        }
    }
}

/// The text of what waits.
pub(super) async fn of(
    app: &App,
    source: &Source,
    blob: &Blob,
    attempt: u32,
) -> Result<Text, Error> {
    let own = normalise(blob).await?;
    let metadata = &own.metadata;
    let Some(url) = Some(metadata).filter(|it| it.is_summary).and_then(|it| check_url(&it.url).ok())
    else {
        return Ok(Text::Ready(own));
    };
    if !source.draft.options.full_text {
        return Ok(Text::Ready(own));
    }
    let place = match slot::ask(&app.pool, &url, app.config.host_limits()).await? {
        Asked::Yours(place) => place,
        Asked::Later(wait) => return Ok(Text::Later(wait)),
    };
    let fetched = fetch(app, source, &url).await;
    let failure = fetched.as_ref().err();
    place.release(&app.pool, failure.and_then(|it| it.retry_after)).await;
    match fetched {
        Ok(page) => Ok(Text::Ready(longer(own, extract(page).await))),
        Err(failure) if failure.is_transient() && attempt < PAGE_TRIES => Err(failure.into()),
        Err(failure) => {
            // The summary is better than nothing; the site will not give more.
            tracing::info!(source.id = %source.id, error = %failure, "an article was not fetched");
            Ok(Text::Ready(own))
        }
    }
}

/// What was stored, as Markdown.
async fn normalise(blob: &Blob) -> Result<Normalised, Error> {
    let metadata = blob.metadata.0.clone();
    let text = String::from_utf8_lossy(&blob.content).into_owned();
    if blob.media_type != MediaType::Html.as_str() {
        return Ok(Normalised { markdown: text, metadata, from_page: false });
    }
    todo!()
}

/// Fetches an article; the source's credential goes along to the source's own origin only.
async fn fetch(app: &App, source: &Source, url: &Url) -> Result<Page, Failure> {
    let own = check_url(&source.draft.url).is_ok_and(|it| it.origin() == url.origin());
    let credential = if own { app.credential(source)? } else { None };
    let request = Request { credential, ..Request::new(url.clone()) };
    match app.fetch.get(&request).await.map_err(|error| not_fetched(&error))? {
        Outcome::Fetched(page) => Ok(page),
        Outcome::NotModified(_) => Err(Failure::new(
            Reason::FetchFailed,
            format!("{url} answered 304 to a plain request"),
        )),
    }
}
