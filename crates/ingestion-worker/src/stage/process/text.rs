//! The text of a document: Markdown, whatever it was, and the whole article where a feed has only
//! a summary.

use std::time::Duration;

use jobs::Error;
use proto::{Failure, Reason};
use sqlx::types::Json;
use url::Url;

use crate::app::App;
use crate::charset;
use crate::db::blob::{Blob, Waiting};
use crate::document::{Metadata, heading, one_line};
use crate::error::not_fetched;
use crate::fetch::{Outcome, Page, Request};
use crate::handed::MediaType;
use crate::page::{self, Article};
use crate::slot::{self, Asked};
use crate::source::{Kind, Source, check_url};

/// A site that fails is asked for an article this often; then the summary has to do.
const PAGE_TRIES: u32 = 3;

/// A site that asks us to wait is waited for so long; then the summary has to do.
const PAGE_PATIENCE: Duration = Duration::from_secs(60 * 60);

/// A title made of the text's beginning is this long, in characters.
const TITLE_CHARS: usize = 80;

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
    waiting: &Waiting,
    attempt: u32,
) -> Result<Text, Error> {
    let own = normalise(source, &waiting.blob).await?;
    let metadata = &own.metadata;
    let Some(url) =
        Some(metadata).filter(|it| it.is_summary).and_then(|it| check_url(&it.url).ok())
    else {
        return Ok(Text::Ready(titled(own)));
    };
    if !source.draft.options.full_text {
        return Ok(Text::Ready(titled(own)));
    }
    let place = match slot::ask(&app.pool, &url, app.config.host_limits()).await? {
        Asked::Yours(place) => place,
        Asked::Later(wait) if is_patient(waiting, wait) => return Ok(Text::Later(wait)),
        Asked::Later(_) => return Ok(Text::Ready(titled(own))),
    };
    let fetched = fetch(app, source, &url).await;
    let failure = fetched.as_ref().err();
    place.release(&app.pool, failure.and_then(|it| it.retry_after)).await;
    match fetched {
        Ok(page) => Ok(Text::Ready(titled(longer(own, extract(page).await?)))),
        Err(failure) if goes_on(&failure, waiting, attempt) => Err(failure.into()),
        Err(failure) => {
            // The summary is better than nothing; the site will not give more.
            tracing::info!(source.id = %source.id, error = %failure, "an article was not fetched");
            Ok(Text::Ready(titled(own)))
        }
    }
}

/// Whether an article is worth another wait; a document with a summary is better than none.
fn is_patient(waiting: &Waiting, wait: Duration) -> bool {
    waiting.waited_s + wait.as_secs_f64() < PAGE_PATIENCE.as_secs_f64()
}

/// Whether an article that could not be fetched is to be asked for again.
fn goes_on(failure: &Failure, waiting: &Waiting, attempt: u32) -> bool {
    match failure.retry_after {
        Some(wait) => is_patient(waiting, wait),
        None if failure.reason == Reason::RateLimited => is_patient(waiting, Duration::ZERO),
        None => failure.is_transient() && attempt < PAGE_TRIES,
    }
}

/// What was stored, as Markdown.
async fn normalise(source: &Source, blob: &Blob) -> Result<Normalised, Error> {
    let (kind, metadata) = (source.draft.kind, blob.metadata.0.clone());
    let text = String::from_utf8_lossy(&blob.content).into_owned();
    if blob.media_type != MediaType::Html.as_str() {
        return Ok(Normalised { markdown: text, metadata, from_page: false });
    }
    blocking(move || match kind {
        Kind::Feed => {
            let base = metadata.base_url.as_deref().unwrap_or(&metadata.url);
            let markdown = page::html_to_markdown(&text, Url::parse(base).ok().as_ref());
            Normalised { markdown, metadata, from_page: false }
        }
        Kind::Manual => {
            let file = page::file(&text, Url::parse(&metadata.url).ok().as_ref());
            let metadata = metadata.or(Metadata::from(&file)).bounded();
            Normalised { markdown: file.markdown, metadata, from_page: false }
        }
    })
    .await
}

/// The article of a page; `None` when the page has none.
async fn extract(page: Page) -> Result<Option<Article>, Error> {
    blocking(move || {
        let html = charset::decode(&page.body, page.content_type.as_deref()).text;
        page::article(&html, Some(&page.url))
    })
    .await
}

/// The longer of the feed's text and the page's: anti-robot pages are short.
fn longer(own: Normalised, article: Option<Article>) -> Normalised {
    match article {
        Some(article) if article.markdown.len() > own.markdown.len() => {
            let metadata = own.metadata.or(Metadata::from(&article)).bounded();
            Normalised { markdown: article.markdown, metadata, from_page: true }
        }
        _ => own,
    }
}

/// Every document has a title and a text: where one is missing, the other has to do.
fn titled(mut text: Normalised) -> Normalised {
    // No table can hold it, and no reader misses it.
    text.markdown.retain(|c| c != '\0');
    let metadata = &mut text.metadata;
    if metadata.title.is_empty() {
        let found = heading(&text.markdown);
        metadata.title = found.unwrap_or_else(|| one_line(&text.markdown, TITLE_CHARS));
    }
    if metadata.title.is_empty() {
        metadata.title.clone_from(&metadata.url);
    }
    if text.markdown.trim().is_empty() {
        text.markdown.clone_from(&metadata.title);
    }
    text
}

/// Large pages take long enough to hold up other work on this thread; a page that makes a library
/// panic is one that cannot be read.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::permanent(Reason::Unreadable, "the page crashed its reader"))
}

/// Fetches an article; the source's credential goes along to the source's own origin only.
async fn fetch(app: &App, source: &Source, url: &Url) -> Result<Page, Failure> {
    let own = check_url(&source.draft.url).is_ok_and(|it| it.origin() == url.origin());
    let credential = if own { app.credential(source)? } else { None };
    let request = Request { credential, ..Request::new(url.clone()) };
    match app.fetch.get(&request).await.map_err(|error| not_fetched(&error))? {
        Outcome::Fetched(page) => Ok(page),
        Outcome::NotModified(_) => {
            Err(Failure::new(Reason::FetchFailed, format!("{url} answered 304 to a plain request")))
        }
    }
}
