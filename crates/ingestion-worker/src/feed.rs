//! Reads feeds: RSS of any version, Atom, and JSON Feed, in any encoding, into our own types.
//!
//! Pure: bytes in, entries out. Dialects are translated to plain Atom, which feed-rs reads;
//! feedparser-rs reads what is too broken for that.

use chrono::{DateTime, Utc};
use url::Url;

use crate::charset;

mod atom;
pub(crate) mod date;
mod element;
mod fields;
mod identity;
mod library;
mod not_a_feed;
mod person;
pub(crate) mod text;
mod xml;

pub use identity::{is_akin, is_same_before_links, normalise_url};
pub use not_a_feed::Look;
pub use person::Person;

/// The largest body that is read, in bytes.
pub const BODY_BYTES_MAX: usize = 15 * 1024 * 1024;

/// The most entries that are kept of one feed; publishers put the newest first.
pub const ENTRIES_MAX: usize = 10_000;

/// The most tags that are kept of one entry.
pub const TAGS_MAX: usize = 50;

/// The most authors that are kept of one entry.
pub const AUTHORS_MAX: usize = 50;

/// A feed as published.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Its title, without markup.
    pub title: Option<String>,
    /// The page it belongs to, absolute.
    pub link: Option<String>,
    /// The language it declares.
    pub language: Option<String>,
    /// The entries in the order of the feed, each key once.
    pub entries: Vec<Entry>,
    /// Whether the body broke off: what is missing from it is to be asked for again.
    pub broken_off: bool,
    /// The parser that read it.
    pub parser: Parser,
    /// The encoding it was in.
    pub charset: &'static str,
    /// Whether bytes that the encoding does not know were replaced.
    pub lossy: bool,
}

/// One entry of a feed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// What the entry is stored under within its source when it is new.
    pub key: String,
    /// What it may be stored under already, the surest name first: the key's form depends on what
    /// else the feed showed when the entry was new.
    pub names: Vec<String>,
    /// Names that another entry may have had: they count where the text or the link is the same.
    pub hints: Vec<String>,
    /// A second name that survives the move of a site to another host. None where ambiguous.
    pub alias_key: Option<String>,
    /// The publisher's own id.
    pub guid: Option<String>,
    /// The title without markup; empty if there is none.
    pub title: String,
    /// The entry's page, absolute.
    pub url: Option<String>,
    /// Its authors, or else those of the feed.
    pub authors: Vec<Person>,
    /// When it first appeared, as far as the publisher says.
    pub published: Option<DateTime<Utc>>,
    /// When it was last changed, as far as the publisher says.
    pub updated: Option<DateTime<Utc>>,
    /// Categories and keywords, each once.
    pub tags: Vec<String>,
    /// The whole text, as HTML that is not sanitised.
    pub content_html: Option<String>,
    /// A summary, as HTML that is not sanitised.
    pub summary_html: Option<String>,
    /// What relative addresses in the HTML refer to, if not to `url`.
    pub base_url: Option<String>,
    /// The language it declares, if not the feed's.
    pub language: Option<String>,
    /// Changes when title, text, authors or tags change, and in the part after a `+` when the link
    /// does.
    pub content_hash: String,
}

/// Which library read a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parser {
    /// feed-rs, the strict one, tried first.
    FeedRs,
    /// feedparser-rs, for what the first refused.
    FeedparserRs,
}

/// Why a body could not be read as a feed. None of these goes away by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body is over [`BODY_BYTES_MAX`].
    #[error(
        "the feed has {bytes} bytes, more than the {limit_bytes} allowed; ask its publisher \
             for a shorter one"
    )]
    TooLarge {
        /// The body's size in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit_bytes: usize,
    },
    /// Elements are nested deeper than any real feed does.
    #[error("the feed nests elements deeper than {limit}")]
    TooDeep {
        /// The deepest nesting allowed.
        limit: usize,
    },
    /// The entities that the feed declares expand to too much.
    #[error("the entities declared in the feed expand to more than {limit_bytes} bytes")]
    EntityExpansion {
        /// The limit in bytes.
        limit_bytes: usize,
    },
    /// The body is something else.
    #[error("this is not a feed but {0}")]
    NotAFeed(Look),
    /// It begins like a feed, but no parser can read it.
    #[error("this begins like a feed but cannot be read: {reason}")]
    Unreadable {
        /// What the first parser said.
        reason: String,
    },
}

/// Reads a feed.
///
/// `content_type` is the server's header, `base_url` the address that it was fetched from after
/// redirects. Entries come back with their keys, each key once.
///
/// # Errors
/// If the body is not a feed, or is over a limit.
pub fn parse(
    bytes: &[u8],
    content_type: Option<&str>,
    base_url: Option<&Url>,
) -> Result<Feed, Error> {
    if bytes.len() > BODY_BYTES_MAX {
        return Err(Error::TooLarge { bytes: bytes.len(), limit_bytes: BODY_BYTES_MAX });
    }
    let decoded = charset::decode(bytes, content_type);
    let text = decoded.text.trim_start_matches(|c: char| c.is_whitespace() || c == '\0');
    let mut feed = match text.starts_with(['{', '[']) {
        true => json(text, base_url)?,
        false => xml(text, base_url)?,
    };
    feed.charset = decoded.encoding;
    feed.lossy = decoded.lossy;
    identity::assign(&mut feed.entries);
    Ok(feed)
}

fn xml(text: &str, base: Option<&Url>) -> Result<Feed, Error> {
    let translation = atom::translate(text, base)?;
    let first = library::feed_rs(&translation.atom, base);
    let has_entries = || text.contains("<item") || text.contains("<entry");
    let feed = match first {
        Ok(feed) if !feed.entries.is_empty() || !has_entries() => feed,
        first => match library::feedparser_rs(text, base) {
            Ok(feed) if !feed.entries.is_empty() => feed,
            _ => first.map_err(|reason| Error::Unreadable { reason })?,
        },
    };
    Ok(Feed { broken_off: translation.broken_off, ..feed })
}

fn json(text: &str, base: Option<&Url>) -> Result<Feed, Error> {
    if !is_json_feed(text) {
        return Err(Error::NotAFeed(Look::Json));
    }
    match library::feed_rs(text, base) {
        Ok(feed) => Ok(feed),
        Err(reason) => match library::feedparser_rs(text, base) {
            Ok(feed) if !feed.entries.is_empty() => Ok(feed),
            _ => Err(Error::Unreadable { reason }),
        },
    }
}

/// By its version, however its slashes are escaped. What is too broken to be JSON is recognised by
/// its words.
fn is_json_feed(text: &str) -> bool {
    const VERSION: &str = "jsonfeed.org/version/";
    #[derive(serde::Deserialize)]
    struct Head {
        version: Option<serde_json::Value>,
    }
    match serde_json::from_str::<Head>(text) {
        Ok(head) => {
            head.version.is_some_and(|it| it.as_str().is_some_and(|it| it.contains(VERSION)))
        }
        Err(_) => text.replace("\\/", "/").contains(VERSION),
    }
}

#[cfg(test)]
mod tests;
