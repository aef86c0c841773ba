//! Which entry is which: the same one at every poll, a new one once, an edit as an edit.
//!
//! Publishers' guids are missing, repeated or changed, and what libraries make up for a missing
//! one changes with the title or at every poll. So the identity is decided here.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use url::Url;

use super::Entry;
use super::text::one_line;

/// Query parameters that tell where a visitor came from and not what the page is.
const TRACKING: [&str; 5] = ["fbclid", "gclid", "mc_cid", "mc_eid", "ref_src"];

/// Gives every entry its keys and the hash of its content, and drops an entry that says the same
/// as one before it.
///
/// The key is the guid; without one the link; without both the title and content. A guid that a
/// feed uses for several entries counts together with the link, and a link used for several with
/// the content: for all of them, so that the order of the entries does not matter. Keys are unique
/// within a source, and only there.
pub(super) fn assign(entries: &mut Vec<Entry>) {
    let name = |entry: &Entry| entry.guid.clone().or(entry.url.as_deref().map(normalise_url));
    let mut uses = HashMap::<String, usize>::new();
    for name in entries.iter().filter_map(name) {
        *uses.entry(name).or_default() += 1;
    }
    for entry in entries.iter_mut() {
        entry.content_hash = content_hash(entry);
        let repeated = name(entry).is_some_and(|name| uses[&name] > 1);
        entry.key = key(entry, repeated);
        entry.alias_key = alias_key(entry).filter(|_| !repeated);
    }
    let mut seen = std::collections::HashSet::new();
    entries.retain(|entry| seen.insert(entry.key.clone()));

    // An alias that two entries share would make one of them the other.
    let mut aliases = HashMap::<String, usize>::new();
    for alias in entries.iter().filter_map(|entry| entry.alias_key.as_ref()) {
        *aliases.entry(alias.clone()).or_default() += 1;
    }
    for entry in entries {
        entry.alias_key = entry.alias_key.take().filter(|alias| aliases[alias] == 1);
    }
}

fn key(entry: &Entry, repeated: bool) -> String {
    let url = entry.url.as_deref().map(normalise_url);
    match (&entry.guid, url) {
        (Some(guid), _) if !repeated => hash("guid", &[guid]),
        (Some(guid), Some(url)) => hash("guid+url", &[guid, &url]),
        (Some(guid), None) => hash("guid+text", &[guid, &entry.content_hash]),
        (None, Some(url)) if !repeated => hash("url", &[&url]),
        (None, Some(url)) => hash("url+text", &[&url, &entry.content_hash]),
        (None, None) => {
            let content = entry.content_html.as_ref().or(entry.summary_html.as_ref());
            let content = one_line(content.map_or("", String::as_str));
            hash("text", &[&entry.title, &content])
        }
    }
}

/// The guid, or else the link, without scheme and host: what stays when a site moves.
fn alias_key(entry: &Entry) -> Option<String> {
    let address = entry.guid.as_deref().or(entry.url.as_deref())?;
    let url = Url::parse(&normalise_url(address)).ok().filter(Url::has_host)?;
    let path = url.path().trim_end_matches('/');
    let query = url.query().unwrap_or_default();
    (!path.is_empty() || !query.is_empty()).then(|| hash("path", &[path, query]))
}

/// Changes when a reader would see a change; dates and addresses may move without one.
fn content_hash(entry: &Entry) -> String {
    let text = |html: &Option<String>| one_line(html.as_deref().unwrap_or_default());
    let authors = entry.authors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let (content, summary) = (text(&entry.content_html), text(&entry.summary_html));
    hash("content", &[&entry.title, &content, &summary, &authors, &entry.tags.join("\n")])
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
