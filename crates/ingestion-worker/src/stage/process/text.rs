//! The text of a document: Markdown, whatever it was, and the whole article where a feed has only
//! a summary.

use std::time::Duration;

use jobs::{Error, Run};
use proto::{Failure, Reason};
use sqlx::types::Json;
use url::Url;

use crate::app::App;
use crate::charset;
use crate::db::blob::{Blob, Waiting};
use crate::document::{Metadata, heading, one_line};
use crate::error::not_fetched;
use crate::fetch::{Outcome, Page, Request, place};
use crate::handed::MediaType;
use crate::page::{self, Article};
use crate::reading;
use crate::slot;
use crate::source::{Kind, Source, check_url};

/// A site that fails is asked for an article this often; then the summary has to do.
const PAGE_TRIES: u32 = 3;

/// A site that asks us to wait is waited for so long; then the summary has to do for now.
const PAGE_PATIENCE: Duration = Duration::from_secs(60 * 60);

/// However short the waits that a site asks for, a document waits no longer than this in all.
const PAGE_WAIT_S_MAX: f64 = 24.0 * 60.0 * 60.0;

/// How long fetching an article may take: shorter than the run.
const PAGE_TIME_MAX: Duration = Duration::from_secs(100);

/// How much of a page of no declared type shows what it is, in bytes.
const SNIFF_BYTES: usize = 1_024;

/// A title made of the text's beginning is this long, in characters.
const TITLE_CHARS: usize = 80;

/// What came of normalising.
pub(super) enum Text {
    /// The text.
    Ready(Normalised),
    /// The site is to be asked later.
    Later(Duration),
}

/// What is known of the article that a summary belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// There is none, or nobody asked the site.
    No,
    /// The site was asked: it is not to be asked for the same content again.
    Yes,
    /// The site wants to be left alone: a later look at the source asks again.
    Refused,
}

/// A document's text with what is said about it.
pub(super) struct Normalised {
    /// Markdown.
    pub(super) markdown: String,
    /// Title, authors, dates, tags.
    pub(super) metadata: Metadata,
    /// What is known of the article at its URL.
    pub(super) article: Asked,
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
    run: &Run,
) -> Result<Text, Error> {
    let own = normalise(source, &waiting.blob).await?;
    let Some(url) = article_url(source, &own.metadata) else { return Ok(ready(own, Asked::No)) };
    let place = match slot::ask(&app.pool, &url, app.host_limits()).await? {
        slot::Asked::Yours(place) => place,
        // Our own distance between requests is no reason to take less than the article.
        slot::Asked::Later(wait) => return Ok(Text::Later(wait)),
        slot::Asked::Held(wait) if is_patient(waiting, wait) => return Ok(Text::Later(wait)),
        slot::Asked::Held(_) => return Ok(ready(own, Asked::Refused)),
    };
    let work = async { Ok(fetch(app, source, &url).await?) };
    let failure = match place.during(&app.pool, run, PAGE_TIME_MAX, work).await {
        Ok(page) => return Ok(ready(longer(own, article(page).await), Asked::Yes)),
        Err(Error::RateLimited { retry_after, .. }) if !is_patient(waiting, retry_after) => {
            return Ok(ready(own, Asked::Refused));
        }
        Err(Error::Transient(failure)) if run.attempt < PAGE_TRIES => return Err(failure.into()),
        Err(Error::Transient(failure) | Error::Permanent(failure)) => failure,
        Err(error) => return Err(error),
    };
    // The summary is better than nothing; the site will not give more.
    tracing::info!(source.id = %source.id, error = %failure, "an article was not fetched");
    Ok(ready(own, Asked::Yes))
}

/// Where the article lies, if it is to be fetched.
fn article_url(source: &Source, metadata: &Metadata) -> Option<Url> {
    let wanted = metadata.is_summary && source.draft.options.full_text;
    check_url(&metadata.url).ok().filter(|_| wanted)
}

/// Whether an article is worth another wait; a document with a summary is better than none.
fn is_patient(waiting: &Waiting, wait: Duration) -> bool {
    wait <= PAGE_PATIENCE && waiting.waited_s < PAGE_WAIT_S_MAX
}

fn ready(text: Normalised, article: Asked) -> Text {
    Text::Ready(Normalised { article, ..titled(text) })
}

/// What was stored, as Markdown.
async fn normalise(source: &Source, blob: &Blob) -> Result<Normalised, Error> {
    let (kind, metadata) = (source.draft.kind, blob.metadata.0.clone());
    let text = String::from_utf8_lossy(&blob.content).into_owned();
    if blob.media_type != MediaType::Html.as_str() {
        return Ok(Normalised { markdown: text, metadata, article: Asked::No });
    }
    let normalised = reading::read("the content", reading::TIME_MAX, move || match kind {
        Kind::Feed => {
            let base = metadata.base_url.as_deref().unwrap_or(&metadata.url);
            let markdown = page::html_to_markdown(&text, Url::parse(base).ok().as_ref());
            Normalised { markdown, metadata, article: Asked::No }
        }
        Kind::Manual => {
            let file = page::file(&text, Url::parse(&metadata.url).ok().as_ref());
            let metadata = metadata.or(Metadata::from(&file)).bounded();
            Normalised { markdown: file.markdown, metadata, article: Asked::No }
        }
    });
    Ok(normalised.await?)
}

/// The article of a page; `None` when the page has none that can be read.
async fn article(page: Page) -> Option<Article> {
    if !is_html(&page) {
        return None;
    }
    let what = place(&page.url);
    let read = reading::read(&what, reading::TIME_MAX, move || {
        let html = charset::decode(&page.body, page.content_type.as_deref()).text;
        page::article(&html, Some(&page.url))
    });
    read.await.unwrap_or_else(|failure| {
        tracing::warn!(error = %failure, "an article was not read");
        None
    })
}

/// Whether a page is one by its type, or else by its beginning: the bytes of a film are longer
/// than any summary, and no text.
fn is_html(page: &Page) -> bool {
    match page.content_type.as_deref().filter(|it| !it.trim().is_empty()) {
        Some(declared) => MediaType::parse(declared) == Some(MediaType::Html),
        None => {
            let head = &page.body[..page.body.len().min(SNIFF_BYTES)];
            let head = String::from_utf8_lossy(head).to_ascii_lowercase();
            ["<!doctype html", "<html", "<head", "<body"].iter().any(|tag| head.contains(tag))
        }
    }
}

/// The longer of the feed's text and the page's: anti-robot pages are short.
fn longer(own: Normalised, article: Option<Article>) -> Normalised {
    match article {
        Some(article) if article.markdown.len() > own.markdown.len() => {
            let metadata = own.metadata.or(Metadata::from(&article)).bounded();
            Normalised { markdown: article.markdown, metadata, article: own.article }
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

/// Fetches an article; the source's credential goes along to the source's own origin only.
async fn fetch(app: &App, source: &Source, url: &Url) -> Result<Page, Failure> {
    let own = check_url(&source.draft.url).is_ok_and(|it| it.origin() == url.origin());
    let credential = if own { app.credential(source)? } else { None };
    let request = Request { credential, ..Request::new(url.clone()) };
    match app.fetch.get(&request).await.map_err(|error| not_fetched(&error))? {
        Outcome::Fetched(page) => Ok(page),
        Outcome::NotModified => {
            let message = format!("{} answered 304 to a plain request", place(url));
            Err(Failure::new(Reason::FetchFailed, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_is_read_as_one() {
        let page = |content_type: Option<&str>, body: &[u8]| Page {
            url: Url::parse("https://a.example/").expect("a URL"),
            content_type: content_type.map(str::to_owned),
            validators: crate::fetch::Validators::default(),
            body: body.to_vec(),
        };
        let html = b"\xEF\xBB\xBF<!DOCTYPE HTML><html><body>text";
        let table = [
            (Some("text/html; charset=utf-8"), &html[..], true),
            (Some("application/xhtml+xml"), html, true),
            (Some(" "), html, true),
            (None, html, true),
            (None, b"%PDF-1.7 many words", false),
            (Some("application/pdf"), html, false),
            (Some("video/mp4"), html, false),
            (Some("text/plain"), html, false),
        ];
        for (content_type, body, expected) in table {
            assert_eq!(is_html(&page(content_type, body)), expected, "{content_type:?}");
        }
    }
}
