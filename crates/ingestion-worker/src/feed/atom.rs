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
    /// Whether the document broke off; beyond [`ENTRIES_MAX`] entries nobody looks.
    pub(super) broken_off: bool,
}

/// Translates `text`; `base` is where it was fetched from.
pub(super) fn translate(text: &str, base: Option<&Url>) -> Result<Translation, Error> {
    let mut reader = Reader::new(text, base);
    let mut feed = Fields::default();
    let mut entries = String::with_capacity(text.len());
    let mut count = 0;

    let root = reader.next_element()?;
    let is_feed = root.as_ref().is_some_and(|root| is_container(root) || is_entry(root));
    let Some(mut element) = root.filter(|_| is_feed) else {
        return Err(Error::NotAFeed(Look::of(text, base)));
    };
    let broken_off = loop {
        if is_container(&element) {
            feed.take_attributes(&element);
        } else {
            let complete = reader.fill(&mut element)?;
            if !is_entry(&element) {
                feed.take(&element);
            } else if count == ENTRIES_MAX {
                break false;
            } else if complete || (count == 0 && !element.children.is_empty()) {
                // Of an entry that broke off nobody knows what is missing; but a feed of one entry
                // that its publisher never closes is better than none.
                count += 1;
                Fields::of(&element).write_entry(&mut entries);
            }
        }
        match reader.next_element()? {
            Some(next) => element = next,
            None => break reader.is_broken_off(),
        }
    };

    let mut atom = String::with_capacity(entries.len() + 1024);
    atom.push_str("<feed xmlns=\"http://www.w3.org/2005/Atom\"");
    if let Some(language) = &feed.language {
        atom.push_str(&format!(" xml:lang=\"{}\"", escape(language.as_str())));
    }
    atom.push('>');
    feed.write_head(&mut atom);
    atom.push_str(&entries);
    atom.push_str("</feed>");
    Ok(Translation { atom, broken_off })
}

/// Elements whose children belong to the feed itself.
fn is_container(element: &Element) -> bool {
    element.vocabulary == Vocabulary::Feed
        && matches!(element.name.as_str(), "rss" | "rdf" | "feed" | "channel" | "items")
}

fn is_entry(element: &Element) -> bool {
    element.vocabulary == Vocabulary::Feed && matches!(element.name.as_str(), "item" | "entry")
}
