//! Reads web pages: finds the article, frees it of everything active, and writes it as Markdown.
//!
//! Pure and CPU-bound, some milliseconds a page: callers run it off the reactor. No input makes it
//! fail; a page that no parser gets on with becomes its bare words.

use std::panic::{AssertUnwindSafe, catch_unwind};

use chrono::{DateTime, Utc};
use dom_query::Document;
use dom_smoothie::Readability;
use url::Url;

use crate::feed::date;
use crate::feed::text::{one_line, words_of_html};

mod code;
pub(crate) mod depth;
pub mod front_matter;
mod sanitise;

/// Elements that the search for the article goes through; a page with more is taken whole.
const ELEMENTS_MAX: usize = 200_000;

/// An article that is less than this share of the page's words, in percent, is taken for a wrong
/// guess when a file is read, which a person chose as a whole.
const FILE_SHARE_MIN: usize = 50;

/// A page, freed of navigation and of everything active.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Article {
    /// The title; empty if the page has none.
    pub title: String,
    /// Who wrote it, as the page says.
    pub authors: Vec<String>,
    /// When it was published, as the page says.
    pub published: Option<DateTime<Utc>>,
    /// When it was changed, as the page says.
    pub updated: Option<DateTime<Utc>>,
    /// The language of the page (BCP 47).
    pub language: Option<String>,
    /// The text as HTML, sanitised.
    pub html: String,
    /// The text as Markdown.
    pub markdown: String,
}

/// Finds the article on a page; none if there is no text that looks like one. `url` is where the
/// page was fetched from: relative addresses are resolved against it.
#[must_use]
pub fn article(html: &str, url: Option<&Url>) -> Option<Article> {
    extract(&prepared(html)?, url)
}

/// Reads an HTML file as a whole: its article where that is most of it, else all of its body.
#[must_use]
pub fn file(html: &str, url: Option<&Url>) -> Article {
    let Some(page) = prepared(html) else {
        return words_only(html);
    };
    let article = extract(&page, url);
    let whole = || {
        let body = page.select("body").inner_html();
        let (html, markdown) = converted(&body, url);
        let found = article.clone().unwrap_or_else(|| Article {
            title: one_line(&page.select("title").first().text()),
            language: page.select("html").attr("lang").map(|lang| lang.to_string()),
            ..Article::default()
        });
        Article { html, markdown, ..found }
    };
    let words = |markdown: &str| markdown.split_whitespace().count();
    match &article {
        Some(article) => {
            let whole = whole();
            let is_most = words(&article.markdown) * 100 >= words(&whole.markdown) * FILE_SHARE_MIN;
            if is_most { article.clone() } else { whole }
        }
        None => whole(),
    }
}

/// Converts a piece of HTML, such as the content of a feed's entry, to Markdown. Headings, lists,
/// tables and code with its language are kept, addresses become absolute, nothing active survives.
#[must_use]
pub fn html_to_markdown(html: &str, base_url: Option<&Url>) -> String {
    converted(html, base_url).1
}

/// The page with its code blocks in one form; none if it is nested beyond all reason.
fn prepared(html: &str) -> Option<Document> {
    let page = depth::parse(html)?;
    code::normalise(&page);
    Some(page)
}

fn extract(page: &Document, url: Option<&Url>) -> Option<Article> {
    let config = dom_smoothie::Config {
        // Or the language of code is lost, which stands in a class.
        keep_classes: true,
        max_elements_to_parse: ELEMENTS_MAX,
        ..dom_smoothie::Config::default()
    };
    let found = catch_unwind(AssertUnwindSafe(|| {
        let page = page.clone();
        Readability::with_document(page, url.map(Url::as_str), Some(config)).ok()?.parse().ok()
    }));
    let found = found.ok().flatten()?;
    let (html, markdown) = converted(&found.content, url);
    if markdown.trim().is_empty() {
        return None;
    }
    let text = |value: Option<String>| value.map(|value| one_line(&value));
    Some(Article {
        title: one_line(&found.title),
        authors: text(found.byline).map(|line| authors(&line)).unwrap_or_default(),
        published: found.published_time.as_deref().and_then(date::parse),
        updated: found.modified_time.as_deref().and_then(date::parse),
        language: text(found.lang).filter(|language| !language.is_empty()),
        html,
        markdown,
    })
}

/// `By Ann Lee and Bob Ray` are two.
fn authors(byline: &str) -> Vec<String> {
    let byline = byline.trim();
    let names = match byline.get(..3) {
        Some(by) if by.eq_ignore_ascii_case("by ") => &byline[3..],
        _ => byline,
    };
    let names = names.split(" and ").flat_map(|part| part.split(", ")).map(str::trim);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Sanitised HTML, and the same as Markdown.
fn converted(html: &str, base_url: Option<&Url>) -> (String, String) {
    let Some(page) = prepared(html) else {
        let words = words_only(html);
        return (words.html, words.markdown);
    };
    sanitise::sanitise(&page, base_url);
    let clean = page.select("body").inner_html().to_string();
    match catch_unwind(|| markdown(&clean)) {
        Ok(Ok(markdown)) => (clean, markdown),
        Ok(Err(_)) | Err(_) => {
            let words = words_of_html(&clean);
            (clean, words)
        }
    }
}

fn markdown(html: &str) -> std::io::Result<String> {
    let options = htmd::options::Options {
        bullet_list_marker: htmd::options::BulletListMarker::Dash,
        hr_style: htmd::options::HrStyle::Dashes,
        ul_bullet_spacing: 1,
        ol_number_spacing: 1,
        ..htmd::options::Options::default()
    };
    htmd::HtmlToMarkdown::builder().options(options).build().convert(html)
}

/// What is left of a page that cannot be walked.
fn words_only(html: &str) -> Article {
    let words = words_of_html(html);
    let html = quick_xml::escape::escape(words.as_str()).into_owned();
    Article { html, markdown: words, ..Article::default() }
}

#[cfg(test)]
mod tests;
