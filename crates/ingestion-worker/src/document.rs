//! What a source says about a piece of content, on its way to becoming a document.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::page::Article;
use crate::page::front_matter::FrontMatter;
use crate::source::URL_BYTES_MAX;

/// A document is at most this long, in bytes of text.
pub const DOCUMENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Titles are cut after this many characters.
pub const TITLE_CHARS_MAX: usize = 500;

/// Authors and tags beyond this many are dropped.
pub const NAMES_MAX: usize = 50;

/// An author or a tag is cut after this many characters.
pub const NAME_CHARS_MAX: usize = 200;

/// What is said about the content. It lies as JSON beside the bytes until knowledge has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// The title; empty when the source gives none.
    pub title: String,
    /// Where a person reads it.
    pub url: String,
    /// Who wrote it.
    pub authors: Vec<String>,
    /// What it is about.
    pub tags: Vec<String>,
    /// When it was published.
    pub published_at: Option<DateTime<Utc>>,
    /// When it was last changed.
    pub updated_at: Option<DateTime<Utc>>,
    /// BCP 47; empty when unknown.
    pub language: String,
    /// What relative addresses in the content refer to, if not to `url`.
    pub base_url: Option<String>,
    /// The content is a summary; the article lies at `url`.
    pub is_summary: bool,
}

impl Metadata {
    /// Within every limit, and without characters that no table can hold.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.title = one_line(&self.title, TITLE_CHARS_MAX);
        // A folder's files lie at `file:`; nothing else that is no page is where a person reads.
        self.url = Some(self.url)
            .filter(|it| is_address(it, &["http", "https", "file"]))
            .unwrap_or_default();
        self.base_url = self.base_url.filter(|it| is_address(it, &["http", "https"]));
        self.language = one_line(&self.language, NAME_CHARS_MAX);
        self.authors = names(&self.authors);
        self.tags = names(&self.tags);
        self
    }
}

impl Metadata {
    /// What `other` says where this says nothing.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let text = |own: String, other| if own.is_empty() { other } else { own };
        let list = |own: Vec<String>, other| if own.is_empty() { other } else { own };
        Self {
            title: text(self.title, other.title),
            url: text(self.url, other.url),
            authors: list(self.authors, other.authors),
            tags: list(self.tags, other.tags),
            published_at: self.published_at.or(other.published_at),
            updated_at: self.updated_at.or(other.updated_at),
            language: text(self.language, other.language),
            ..self
        }
    }
}

impl From<&Article> for Metadata {
    fn from(article: &Article) -> Self {
        Self {
            title: article.title.clone(),
            authors: article.authors.clone(),
            published_at: article.published,
            updated_at: article.updated,
            language: article.language.clone().unwrap_or_default(),
            ..Self::default()
        }
    }
}

impl From<FrontMatter> for Metadata {
    fn from(head: FrontMatter) -> Self {
        Self {
            title: head.title.unwrap_or_default(),
            authors: head.authors,
            tags: head.tags,
            published_at: head.published,
            updated_at: head.updated,
            language: head.language.unwrap_or_default(),
            ..Self::default()
        }
    }
}

/// Whether a text is a URL of one of the schemes, within its limit.
fn is_address(text: &str, schemes: &[&str]) -> bool {
    text.len() <= URL_BYTES_MAX && Url::parse(text).is_ok_and(|url| schemes.contains(&url.scheme()))
}

/// Each once, in their order, within the limits.
fn names(texts: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for text in texts {
        let name = one_line(text, NAME_CHARS_MAX);
        if names.len() < NAMES_MAX && !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Words apart by single blanks, without control characters, cut at `chars_max`.
#[must_use]
pub fn one_line(text: &str, chars_max: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<&str> = clean.split_whitespace().collect();
    words.join(" ").chars().take(chars_max).collect()
}

/// The first heading of a Markdown text, or else nothing.
#[must_use]
pub fn heading(markdown: &str) -> Option<String> {
    let mut fenced = false;
    let mut lines = markdown.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let level = line.bytes().take_while(|byte| *byte == b'#').count();
        let rest = &line[level..];
        let underlined = lines.peek().is_some_and(|next| {
            next.len() >= 3 && (next.bytes().all(|b| b == b'=') || next.bytes().all(|b| b == b'-'))
        });
        let title = match level {
            1..=6 if rest.starts_with([' ', '\t']) => rest.trim().trim_end_matches('#'),
            0 if underlined && !line.trim().is_empty() => line,
            _ => continue,
        };
        let title = one_line(title, TITLE_CHARS_MAX);
        if !title.is_empty() {
            return Some(title);
        }
    }
    None
}

/// A name for a document that has none: the last part of its path, without the file's ending.
#[must_use]
pub fn title_of_path(path: &str) -> String {
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or(path);
    let stem =
        last.rsplit_once('.').map_or(last, |(stem, _)| if stem.is_empty() { last } else { stem });
    one_line(stem, TITLE_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_found_outside_of_code() {
        let table = [
            ("# Guide #\n\ntext", Some("Guide")),
            ("intro\n\n## Part *two*\n", Some("Part *two*")),
            ("Guide\n=====\n", Some("Guide")),
            ("```sh\n# comment\n```\n# Real\n", Some("Real")),
            ("#hashtag\nno heading", None),
            ("#\n# Next", Some("Next")),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(heading(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_path_gives_a_title() {
        for (path, title) in
            [("a/b/Read me.md", "Read me"), (".env", ".env"), ("x/", "x"), ("", "")]
        {
            assert_eq!(title_of_path(path), title);
        }
    }

    #[test]
    fn what_is_stated_wins_over_what_is_found() {
        let own = Metadata { title: "Own".into(), is_summary: true, ..Metadata::default() };
        let found = FrontMatter {
            title: Some("Found".into()),
            tags: vec!["rust".into()],
            ..FrontMatter::default()
        };
        let both = own.or(found.into());
        assert_eq!((both.title.as_str(), both.tags.as_slice()), ("Own", &["rust".to_owned()][..]));
        assert!(both.is_summary);
    }

    #[test]
    fn metadata_fit_their_limits() {
        let many = |n: usize| (0..n).map(|i| format!("t{i}")).collect::<Vec<_>>();
        let metadata = Metadata {
            title: format!(" a\0b\n{}", "x".repeat(900)),
            authors: vec!["Ann".into(), " Ann ".into(), "\t".into()],
            tags: many(99),
            ..Metadata::default()
        }
        .bounded();
        assert!(metadata.title.starts_with("a b x") && metadata.title.chars().count() == 500);
        assert_eq!(metadata.authors, ["Ann"]);
        assert_eq!(metadata.tags.len(), NAMES_MAX);
    }

    #[test]
    fn an_address_is_one_that_a_person_can_follow() {
        let long = format!("https://a.example/{}", "x".repeat(URL_BYTES_MAX));
        let table = [
            ("https://a.example/1#a", true, true),
            ("http://a.example/", true, true),
            ("file:///home/ann/notes.md", true, false),
            ("javascript:alert(1)", false, false),
            ("data:text/html,x", false, false),
            ("docs/guide.md", false, false),
            (long.as_str(), false, false),
        ];
        for (text, of_document, of_base) in table {
            let (url, base_url) = (text.to_owned(), Some(text.to_owned()));
            let bounded = Metadata { url, base_url, ..Metadata::default() }.bounded();
            assert_eq!(
                (!bounded.url.is_empty(), bounded.base_url.is_some()),
                (of_document, of_base)
            );
        }
    }
}
