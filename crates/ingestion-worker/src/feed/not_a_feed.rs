//! Says what a body is that was expected to be a feed and is not.

use std::fmt;

use url::Url;

use super::text::one_line;
use crate::page::depth;

/// How many advertised feeds are named.
const FEEDS_MAX: usize = 5;

/// How much of a page is examined, in bytes.
const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// What the body looks like instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing but white space.
    Empty,
    /// A page that asks for a password.
    LoginPage {
        /// The page's title.
        title: String,
    },
    /// A web page.
    WebPage {
        /// The page's title.
        title: String,
        /// The feeds that it names in `<link rel="alternate">`, absolute.
        feeds: Vec<String>,
    },
    /// JSON without the marks of a JSON Feed.
    Json,
    /// Another kind of XML.
    Xml {
        /// The name of its root element.
        root: String,
    },
    /// Anything else.
    Other,
}

impl Look {
    pub(super) fn of(text: &str, base: Option<&Url>) -> Self {
        let text = text.trim_start();
        if text.is_empty() {
            return Self::Empty;
        }
        if text.starts_with(['{', '[']) {
            return Self::Json;
        }
        let mut end = text.len().min(PAGE_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let head = &text[..end];
        let lower = head.to_ascii_lowercase();
        if ["<html", "<!doctype html", "<body", "<head"].iter().any(|tag| lower.contains(tag)) {
            return Self::of_page(head, base);
        }
        match root_name(head) {
            Some(root) => Self::Xml { root },
            None => Self::Other,
        }
    }

    fn of_page(html: &str, base: Option<&Url>) -> Self {
        let Some(page) = depth::parse(html) else {
            return Self::WebPage { title: String::new(), feeds: Vec::new() };
        };
        let title = one_line(&page.select("title").first().text());
        if page.select("input[type=password]").exists() {
            return Self::LoginPage { title };
        }
        let mut feeds = Vec::new();
        for link in page.select("link[rel~=alternate][href]").iter() {
            let kind = link.attr_or("type", "").to_ascii_lowercase();
            let is_feed =
                ["rss", "atom", "feed+json", "rdf"].iter().any(|name| kind.contains(name));
            let href = link.attr_or("href", "");
            let address = match base {
                Some(base) => base.join(&href).map(String::from),
                None => Url::parse(&href).map(String::from),
            };
            if let (true, Ok(address)) = (is_feed && feeds.len() < FEEDS_MAX, address) {
                feeds.push(address);
            }
        }
        Self::WebPage { title, feeds }
    }
}

fn root_name(xml: &str) -> Option<String> {
    let starts = |c: char| c.is_alphabetic() || c == '_';
    let tag = xml.split('<').skip(1).find(|tag| tag.starts_with(starts))?;
    let is_name = |c: &char| c.is_alphanumeric() || "_-:.".contains(*c);
    Some(tag.chars().take_while(is_name).take(64).collect())
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an empty body; check that the address is the feed's own"),
            Self::LoginPage { title } => {
                write!(f, "a login page (“{title}”); give the source a credential")
            }
            Self::WebPage { title, feeds } if feeds.is_empty() => {
                write!(f, "a web page (“{title}”) that names no feed; give the feed's own address")
            }
            Self::WebPage { title, feeds } => {
                write!(f, "a web page (“{title}”); it names as its feeds: {}", feeds.join(", "))
            }
            Self::Json => f.write_str(
                "JSON, but no JSON Feed: its version must begin with https://jsonfeed.org/version/",
            ),
            Self::Xml { root } => {
                write!(f, "XML with the root <{root}>; a feed's is <rss>, <feed> or <rdf:RDF>")
            }
            Self::Other => {
                f.write_str("neither XML nor JSON; check that the address is the feed's")
            }
        }
    }
}
