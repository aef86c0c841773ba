//! Translates every XML dialect of feeds into plain Atom 1.0.
//!
//! feed-rs reads plain Atom without loss, but refuses RSS without a version, drops Atom 0.3,
//! Dublin Core terms and subjects, RSS 1.0 items without a link, and inline markup. Handing it one
//! dialect keeps what it does well and loses nothing on the way.

use quick_xml::escape::escape;
use url::Url;

use super::element::{Element, Vocabulary};
use super::fields::Fields;
use super::not_a_feed::Look;
use super::xml::Reader;
use super::{ENTRIES_MAX, Error};

/// A feed as Atom 1.0, and what Atom cannot say.
#[derive(Debug)]
pub(super) struct Translation {
    pub(super) atom: String,
    /// For how long the publisher asks not to come again, in minutes.
    pub(super) ttl_minutes: Option<u32>,
    /// Whether the document broke off or held more entries than [`ENTRIES_MAX`].
    pub(super) truncated: bool,
}

/// Translates `text`; `base` is where it was fetched from.
pub(super) fn translate(text: &str, base: Option<&Url>) -> Result<Translation, Error> {
    let mut reader = Reader::new(text, base);
    let mut feed = Fields::default();
    let mut pace = Pace::default();
    let mut entries = String::with_capacity(text.len());
    let mut count = 0;
    let mut truncated = false;

    let root = reader.next_element()?;
    let is_feed = root.as_ref().is_some_and(|root| is_container(root) || is_entry(root));
    let Some(mut element) = root.filter(|_| is_feed) else {
        return Err(Error::NotAFeed(Look::of(text, base)));
    };
    loop {
        if is_container(&element) {
            feed.take_attributes(&element);
        } else {
            let complete = reader.fill(&mut element)?;
            if !is_entry(&element) {
                pace.take(&element);
                feed.take(&element);
            } else if count == ENTRIES_MAX {
                truncated = true;
                break;
            } else if complete || !element.children.is_empty() {
                count += 1;
                Fields::of(&element).write_entry(&mut entries);
            }
        }
        match reader.next_element()? {
            Some(next) => element = next,
            None => break,
        }
    }
    truncated |= reader.is_broken_off();

    let mut atom = String::with_capacity(entries.len() + 1024);
    atom.push_str("<feed xmlns=\"http://www.w3.org/2005/Atom\"");
    if let Some(language) = &feed.language {
        atom.push_str(&format!(" xml:lang=\"{}\"", escape(language.as_str())));
    }
    atom.push('>');
    feed.write_head(&mut atom);
    atom.push_str(&entries);
    atom.push_str("</feed>");
    Ok(Translation { atom, ttl_minutes: pace.minutes(), truncated })
}

/// Elements whose children belong to the feed itself.
fn is_container(element: &Element) -> bool {
    element.vocabulary == Vocabulary::Feed
        && matches!(element.name.as_str(), "rss" | "rdf" | "feed" | "channel" | "items")
}

fn is_entry(element: &Element) -> bool {
    element.vocabulary == Vocabulary::Feed && matches!(element.name.as_str(), "item" | "entry")
}

/// How often the publisher says the feed changes.
#[derive(Default)]
struct Pace {
    ttl_minutes: Option<u32>,
    period_minutes: Option<u32>,
    per_period: Option<u32>,
}

impl Pace {
    fn take(&mut self, element: &Element) {
        match (element.vocabulary, element.name.as_str()) {
            (Vocabulary::Feed, "ttl") => self.ttl_minutes = element.text().trim().parse().ok(),
            (Vocabulary::Syndication, "updatePeriod") => {
                self.period_minutes = match element.text().trim() {
                    "hourly" => Some(60),
                    "daily" => Some(24 * 60),
                    "weekly" => Some(7 * 24 * 60),
                    "monthly" => Some(30 * 24 * 60),
                    "yearly" => Some(365 * 24 * 60),
                    _ => None,
                };
            }
            (Vocabulary::Syndication, "updateFrequency") => {
                self.per_period = element.text().trim().parse().ok().filter(|count| *count > 0);
            }
            _ => {}
        }
    }

    fn minutes(&self) -> Option<u32> {
        let by_period = self.period_minutes.map(|period| period / self.per_period.unwrap_or(1));
        self.ttl_minutes.or(by_period).filter(|minutes| *minutes > 0)
    }
}
