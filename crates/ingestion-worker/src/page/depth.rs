//! Refuses pages that are nested beyond all reason, before they cost anything.

use std::collections::HashMap;

use dom_query::Document;

/// Elements within elements. Parsing takes time by depth and the conversion recurses; real pages
/// stay far below.
const DEPTH_MAX: usize = 400;

/// The same, counting what only looks like tags in scripts and comments. Where those end is for the
/// parser to say, so a page can hide nesting there from [`DEPTH_MAX`], but no more than this.
const APPARENT_DEPTH_MAX: usize = 5_000;

/// Elements that contain nothing, or that the next of their kind ends, so that leaving out their
/// end tags nests nothing.
const FLAT: [&str; 29] = [
    "area", "base", "br", "col", "colgroup", "dd", "dt", "embed", "hr", "img", "input", "li",
    "link", "meta", "optgroup", "option", "p", "param", "rp", "rt", "source", "tbody", "td",
    "tfoot", "th", "thead", "tr", "track", "wbr",
];

/// Parses a page; none if it is too deep.
pub(crate) fn parse(html: &str) -> Option<Document> {
    let nests_deeper = tags_nest_deeper(html, DEPTH_MAX, after_raw_text);
    if nests_deeper || tags_nest_deeper(html, APPARENT_DEPTH_MAX, |tag| tag) {
        return None;
    }
    let page = Document::from(html);
    (!is_too_deep(&page)).then_some(page)
}

/// Counts open tags in the text, in one pass: the parser's own time grows with their square.
fn tags_nest_deeper(html: &str, limit: usize, after: fn(&str) -> &str) -> bool {
    let mut open = HashMap::<String, usize>::new();
    let mut depth = 0_usize;
    let mut rest = html;
    while let Some((_, tag)) = rest.split_once('<') {
        rest = after(tag);
        let (closes, tag) = match tag.strip_prefix('/') {
            Some(tag) => (true, tag),
            None => (false, tag),
        };
        let name = tag.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        if name.is_empty() || FLAT.iter().any(|flat| flat.eq_ignore_ascii_case(name)) {
            continue;
        }
        let count = open.entry(name.to_ascii_lowercase()).or_default();
        match (closes, *count) {
            (true, 0) => {}
            (true, _) => {
                *count -= 1;
                depth -= 1;
            }
            (false, _) => {
                *count += 1;
                depth += 1;
            }
        }
        if depth > limit {
            return true;
        }
    }
    false
}

/// Where the search goes on after `tag`: behind a comment, a script or a style, whose text only
/// looks like tags.
fn after_raw_text(tag: &str) -> &str {
    const RAW: [(&str, &str); 3] = [("!--", "-->"), ("script", "</script"), ("style", "</style")];
    for (start, end) in RAW {
        if tag.get(..start.len()).is_some_and(|name| name.eq_ignore_ascii_case(start)) {
            let found = tag
                .as_bytes()
                .windows(end.len())
                .position(|at| at.eq_ignore_ascii_case(end.as_bytes()));
            return found.map_or("", |at| &tag[at..]);
        }
    }
    tag
}

fn is_too_deep(page: &Document) -> bool {
    let (mut node, mut depth) = (page.root(), 0_usize);
    loop {
        if depth > DEPTH_MAX {
            return true;
        }
        if let Some(child) = node.first_child() {
            (node, depth) = (child, depth + 1);
            continue;
        }
        loop {
            if let Some(sibling) = node.next_sibling() {
                node = sibling;
                break;
            }
            match node.parent() {
                Some(parent) => (node, depth) = (parent, depth.saturating_sub(1)),
                None => return false,
            }
        }
    }
}
