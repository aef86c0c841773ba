//! An element of a feed, read as a whole: its vocabulary, its attributes, its content.

use quick_xml::escape::{escape, partial_escape};
use url::Url;

/// The vocabulary an element belongs to. Only those that carry what we keep are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Vocabulary {
    /// RSS of any version, Atom of any version, or none: their names mean the same thing.
    #[default]
    Feed,
    DublinCore,
    DublinCoreTerms,
    Content,
    Itunes,
    Media,
    Rdf,
    Xhtml,
    Foreign,
}

/// An element with everything inside it.
#[derive(Clone, Debug, Default)]
pub(super) struct Element {
    pub(super) vocabulary: Vocabulary,
    /// The name without its prefix; in lower case if it is a feed's own (CDF wrote capitals).
    pub(super) name: String,
    /// Names as written, values with their references resolved.
    pub(super) attributes: Vec<(String, String)>,
    /// What relative addresses inside refer to: the innermost `xml:base`, else the document's.
    pub(super) base: Option<Url>,
    pub(super) children: Vec<Node>,
}

/// A piece of an element's content.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    /// The value of an attribute, by its local name: prefixes are chosen freely.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let same = str::eq_ignore_ascii_case;
        let local = |key: &str| key.rsplit(':').next().is_some_and(|key| same(key, name));
        let exact = self.attributes.iter().find(|(key, _)| same(key, name));
        let found = exact.or_else(|| self.attributes.iter().find(|(key, _)| local(key)));
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|child| match child {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The text of this element and all below it.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        self.append_text(&mut text);
        text
    }

    fn append_text(&self, into: &mut String) {
        for child in &self.children {
            match child {
                Node::Text(text) => into.push_str(text),
                Node::Element(element) => element.append_text(into),
            }
        }
    }

    /// The content as markup: inline elements keep their tags, text is escaped.
    pub(super) fn markup(&self) -> String {
        let mut markup = String::new();
        for child in &self.children {
            append_markup(child, &mut markup);
        }
        markup
    }
}

fn append_markup(node: &Node, into: &mut String) {
    match node {
        Node::Text(text) => into.push_str(&partial_escape(text.as_str())),
        Node::Element(element) => {
            into.push('<');
            into.push_str(&element.name);
            for (key, value) in &element.attributes {
                if key.starts_with("xmlns") {
                    continue;
                }
                into.push(' ');
                into.push_str(key);
                into.push_str("=\"");
                into.push_str(&escape(value.as_str()));
                into.push('"');
            }
            into.push('>');
            for child in &element.children {
                append_markup(child, into);
            }
            // One that was left open holds what follows it.
            if matches!(element.name.as_str(), "br" | "hr" | "img" | "input" | "wbr") {
                return;
            }
            into.push_str("</");
            into.push_str(&element.name);
            into.push('>');
        }
    }
}

impl Vocabulary {
    /// By the namespace as feeds write it, or the usual prefix where none is declared.
    pub(super) fn of(namespace: &str) -> Self {
        match namespace.trim_end_matches(['/', '#']) {
            ""
            | "rss"
            | "atom"
            | "http://www.w3.org/2005/Atom"
            | "http://purl.org/atom/ns"
            | "http://purl.org/rss/1.0"
            | "http://purl.org/net/rss1.1"
            | "http://purl.org/rss/1.0/modules/rss091" => Vocabulary::Feed,
            "dc" | "http://purl.org/dc/elements/1.1" | "http://purl.org/dc/elements/1.0" => {
                Vocabulary::DublinCore
            }
            "dcterms" | "http://purl.org/dc/terms" => Vocabulary::DublinCoreTerms,
            "content" | "http://purl.org/rss/1.0/modules/content" => Vocabulary::Content,
            "itunes"
            | "http://www.itunes.com/dtds/podcast-1.0.dtd"
            | "http://example.com/dtds/podcast-1.0.dtd" => Vocabulary::Itunes,
            "media" | "http://search.yahoo.com/mrss" => Vocabulary::Media,
            "rdf" | "http://www.w3.org/1999/02/22-rdf-syntax-ns" => Vocabulary::Rdf,
            "xhtml" | "http://www.w3.org/1999/xhtml" => Vocabulary::Xhtml,
            other if is_feed_namespace(other) => Vocabulary::Feed,
            _ => Vocabulary::Foreign,
        }
    }
}

/// The many names under which RSS 0.9x and 2.0 and early Atom drafts were published.
fn is_feed_namespace(name: &str) -> bool {
    const PREFIXES: [&str; 6] = [
        "http://backend.userland.com/rss",
        "http://blogs.law.harvard.edu/tech/rss",
        "http://channel.netscape.com/rdf/simple",
        "http://my.netscape.com/",
        "http://purl.org/echo",
        "http://purl.org/pie",
    ];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        && !name.contains("/modules/")
        && !name.contains("Module")
}
