//! Which entry is which: the same one at every poll, a new one once, an edit as an edit.
//!
//! Publishers' guids are missing, repeated or changed, and what libraries make up for a missing
//! one changes with the title or at every poll. So the identity is decided here.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};
use url::Url;

use super::Entry;
use super::text::one_line;

/// Query parameters that tell where a visitor came from and not what the page is.
const TRACKING: [&str; 5] = ["fbclid", "gclid", "mc_cid", "mc_eid", "ref_src"];

/// How many digits of a link's hash tell that it moved.
const LINK_DIGITS: usize = 16;

/// Gives every entry its names and the hash of its content, and drops an entry that says the same
/// as one before it.
///
/// The key is the guid; without one the link; without both the title and content. A guid that a
/// feed uses for several entries counts together with the link, and a link used for several with
/// the content: for all of them, so that the order of the entries does not matter. Which form an
/// entry was stored under depends on what stood beside it then, so it is looked for under each.
/// Keys are unique within a source, and only there.
pub(super) fn assign(entries: &mut Vec<Entry>) {
    for entry in entries.iter_mut() {
        entry.content_hash = text_hash(entry);
    }
    let mut seen = HashSet::new();
    entries.retain(|entry| seen.insert(narrow_key(entry)));

    let mut uses = HashMap::<String, usize>::new();
    for key in entries.iter().filter_map(wide_key) {
        *uses.entry(key).or_default() += 1;
    }
    for entry in entries.iter_mut() {
        let narrow = narrow_key(entry);
        match wide_key(entry) {
            Some(wide) if uses[&wide] == 1 => {
                entry.names = [narrow, wide.clone()].into_iter().chain(moved_keys(entry)).collect();
                entry.alias_key = alias_key(entry);
                entry.key = wide;
            }
            wide => {
                entry.names = vec![narrow.clone()];
                entry.hints = wide.into_iter().collect();
                entry.key = narrow;
            }
        }
        entry.content_hash.push_str(&link_mark(entry));
    }

    // An alias that two entries share would make one of them the other.
    let mut aliases = HashMap::<String, usize>::new();
    for alias in entries.iter().filter_map(|entry| entry.alias_key.as_ref()) {
        *aliases.entry(alias.clone()).or_default() += 1;
    }
    for entry in entries {
        entry.alias_key = entry.alias_key.take().filter(|alias| aliases[alias] == 1);
        entry.hints.extend(entry.alias_key.clone());
    }
}

/// The key of an entry that shares its guid, or else its link, with no other.
fn wide_key(entry: &Entry) -> Option<String> {
    match (&entry.guid, &entry.url) {
        (Some(guid), _) => Some(hash("guid", &[guid])),
        (None, Some(url)) => Some(hash("url", &[&normalise_url(url)])),
        (None, None) => None,
    }
}

/// The key of one that shares it. Before the link's mark is there, the hash is the text's.
fn narrow_key(entry: &Entry) -> String {
    let text = text_of(&entry.content_hash);
    match (&entry.guid, entry.url.as_deref().map(normalise_url)) {
        (Some(guid), Some(url)) => hash("guid+url", &[guid, &url]),
        (Some(guid), None) => hash("guid+text", &[guid, text]),
        (None, Some(url)) => hash("url+text", &[&url, text]),
        (None, None) => {
            let content = entry.content_html.as_ref().or(entry.summary_html.as_ref());
            let content = one_line(content.map_or("", String::as_str));
            hash("text", &[&entry.title, &content])
        }
    }
}

/// The wide keys that the entry had if its site moved to https, or to `www.` and back.
fn moved_keys(entry: &Entry) -> Vec<String> {
    let url = entry.url.as_deref().map(normalise_url);
    let (kind, address) = match (&entry.guid, &url) {
        (Some(guid), _) => ("guid", guid),
        (None, Some(url)) => ("url", url),
        (None, None) => return Vec::new(),
    };
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
    let Some(rest) = rest else { return Vec::new() };
    let bare = rest.strip_prefix("www.").unwrap_or(rest);
    let starts = ["https://", "http://", "https://www.", "http://www."];
    let moved = starts.iter().map(|start| format!("{start}{bare}"));
    moved.filter(|it| it != address).map(|it| hash(kind, &[&it])).collect()
}

/// The guid, or else the link, without scheme and host: what stays when a site moves.
fn alias_key(entry: &Entry) -> Option<String> {
    let address = entry.guid.as_deref().or(entry.url.as_deref())?;
    let url = Url::parse(&normalise_url(address)).ok().filter(Url::has_host)?;
    let path = url.path().trim_end_matches('/');
    let query = url.query().unwrap_or_default();
    (!path.is_empty() || !query.is_empty()).then(|| hash("path", &[path, query]))
}

/// Changes when a reader would see a change. Dates stay out: some publishers write the time of the
/// request into every entry.
fn text_hash(entry: &Entry) -> String {
    let text = |html: &Option<String>| one_line(html.as_deref().unwrap_or_default());
    let authors = entry.authors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let (content, summary) = (text(&entry.content_html), text(&entry.summary_html));
    hash("content", &[&entry.title, &content, &summary, &authors, &entry.tags.join("\n")])
}

/// What follows the text's hash: a citation must not keep a dead link. Nothing follows the `+` of
/// an entry without a link, to tell it from a hash of an earlier release.
fn link_mark(entry: &Entry) -> String {
    let Some(url) = entry.url.as_deref() else { return "+".to_owned() };
    let digits = hash("link", &[&normalise_url(url)]);
    format!("+{}", &digits[digits.len() - LINK_DIGITS..])
}

/// The part of a content hash that stands for the text.
fn text_of(content_hash: &str) -> &str {
    content_hash.split_once('+').map_or(content_hash, |(text, _)| text)
}

/// The part of a content hash that stands for the link.
fn link_of(content_hash: &str) -> Option<&str> {
    content_hash.split_once('+').map(|(_, link)| link).filter(|link| !link.is_empty())
}

/// Whether two content hashes have the text or the link in common.
#[must_use]
pub fn is_akin(one: &str, other: &str) -> bool {
    let same_link = link_of(one).is_some() && link_of(one) == link_of(other);
    text_of(one) == text_of(other) || same_link
}

/// Whether an earlier release, which hashed the text alone, stored this entry as it is now.
#[must_use]
pub fn is_same_before_links(stored: &str, shown: &str) -> bool {
    !stored.contains('+') && stored == text_of(shown)
}

/// The same address written in one way: without tracking and without a trailing slash. A fragment
/// stays, since the entries of a change log often differ in nothing else.
#[must_use]
pub fn normalise_url(address: &str) -> String {
    let Ok(mut url) = Url::parse(address.trim()) else {
        return address.trim().to_owned();
    };
    let kept: Vec<String> = url
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            !pair.is_empty() && !name.starts_with("utm_") && !TRACKING.contains(&name)
        })
        .map(str::to_owned)
        .collect();
    url.set_query(Some(kept.join("&").as_str()).filter(|query| !query.is_empty()));
    let text = String::from(url);
    text.strip_suffix('/').map(str::to_owned).unwrap_or(text)
}

/// `kind-` and 64 hexadecimal digits. Each part is preceded by its length, so that parts cannot
/// run into each other.
fn hash(kind: &str, parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    format!("{kind}-{}", hex::encode(hasher.finalize()))
}

#[cfg(test)]
mod tests;
