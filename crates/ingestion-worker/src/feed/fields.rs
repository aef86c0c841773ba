//! What we keep of a feed or an entry, under whatever names the dialects give it.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use quick_xml::escape::escape;
use url::Url;

use super::element::{Element, Node, Vocabulary};
use super::person::Person;
use super::text::looks_like_html;
use super::{AUTHORS_MAX, TAGS_MAX};

/// A value and how well its name fits: several names may state the same thing, the best one wins,
/// and among equals the first.
#[derive(Debug)]
struct Best<T>(Option<(u8, T)>);

impl<T> Default for Best<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Best<T> {
    fn offer(&mut self, rank: u8, value: T) {
        if self.0.as_ref().is_none_or(|(held, _)| rank < *held) {
            self.0 = Some((rank, value));
        }
    }

    fn get(&self) -> Option<&T> {
        self.0.as_ref().map(|(_, value)| value)
    }
}

/// Text with or without markup.
#[derive(Debug)]
struct Text {
    value: String,
    html: bool,
    base: Option<Url>,
}

#[derive(Debug)]
struct Link {
    rel: String,
    href: String,
}

/// The fields of a feed or of one entry.
#[derive(Debug, Default)]
pub(super) struct Fields {
    id: Best<String>,
    title: Best<Text>,
    links: Vec<Link>,
    authors: Vec<Person>,
    podcast_author: Option<Person>,
    tags: Vec<String>,
    published: Best<String>,
    updated: Best<String>,
    summary: Best<Text>,
    content: Best<Text>,
    pub(super) language: Option<String>,
}

impl Fields {
    /// The fields of a whole entry.
    pub(super) fn of(entry: &Element) -> Self {
        let mut fields = Self::default();
        fields.take_attributes(entry);
        for child in entry.elements() {
            fields.take(child);
        }
        fields
    }

    /// What stands in the attributes: RDF's `about`, CDF's `href` and `lastmod`, the language.
    pub(super) fn take_attributes(&mut self, element: &Element) {
        if let Some(about) = element.attribute("about") {
            self.id.offer(2, about.to_owned());
            self.links
                .extend(resolve(element, about).map(|href| Link { rel: "about".into(), href }));
        }
        if let Some(href) = element.attribute("href").and_then(|href| resolve(element, href)) {
            self.links.push(Link { rel: "alternate".into(), href });
        }
        if let Some(modified) = element.attribute("lastmod") {
            self.updated.offer(1, modified.to_owned());
        }
        if let Some(language) = element.attribute("xml:lang") {
            self.language.get_or_insert_with(|| language.to_owned());
        }
    }

    /// Takes what a child element of the feed or entry states, if it is anything we keep.
    pub(super) fn take(&mut self, element: &Element) {
        use Vocabulary::{Content, DublinCore, DublinCoreTerms, Feed, Itunes, Media, Xhtml};
        let plain = || element.text().trim().to_owned();
        match (element.vocabulary, element.name.as_str()) {
            (Feed, "id" | "guid") => self.take_id(element),
            (Feed, "title") => self.title.offer(0, text(element, false)),
            (DublinCore | DublinCoreTerms, "title") => self.title.offer(1, text(element, false)),
            (Media | Itunes, "title") => self.title.offer(2, text(element, false)),
            (Feed, "link" | "a") => self.take_link(element),

            (Feed | DublinCore, "author" | "creator") if self.authors.len() < AUTHORS_MAX => {
                self.authors.extend(person(element));
            }
            (Itunes, "author") => self.podcast_author = person(element),

            (Feed, "category") => self.take_category(element),
            (DublinCore | DublinCoreTerms, "subject") => self.tag(&plain()),
            (Feed, "tags") | (Itunes | Media, "keywords") => {
                plain().split(',').for_each(|tag| self.tag(tag));
            }

            (Feed, "pubdate" | "published" | "issued") => {
                self.published.offer(0, plain());
            }
            (DublinCoreTerms, "issued") => self.published.offer(1, plain()),
            (Feed | DublinCoreTerms, "created") => self.published.offer(3, plain()),
            (Feed, "updated" | "modified" | "lastbuilddate") => self.updated.offer(0, plain()),
            (DublinCoreTerms, "modified") => self.updated.offer(1, plain()),
            // Dublin Core does not say which date it is; RSS 1.0 has no other.
            (DublinCore, "date") => {
                self.published.offer(2, plain());
                self.updated.offer(2, plain());
            }

            (Feed, "description" | "abstract") => self.summary.offer(0, text(element, true)),
            (Feed, "summary" | "subtitle" | "tagline") => {
                self.summary.offer(0, text(element, false));
            }
            (DublinCore | DublinCoreTerms, "description") => {
                self.summary.offer(1, text(element, true));
            }
            (Itunes, "summary") => self.summary.offer(2, text(element, true)),
            (Media, "description") => self.summary.offer(3, text(element, true)),

            (Feed, "content") => self.take_content(0, text(element, false)),
            (Content, "encoded") => self.take_content(0, text(element, true)),
            (Feed | Xhtml, "fullitem" | "body") => {
                self.take_content(1, text(element, true));
            }
            (Feed | DublinCore, "language") => {
                self.language.get_or_insert_with(plain);
            }
            _ => {}
        }
    }

    fn take_id(&mut self, element: &Element) {
        let id = element.text().trim().to_owned();
        if id.is_empty() {
            return;
        }
        let permalink = element.attribute("isPermaLink").map(|value| value.trim() != "false");
        if element.name == "guid" && permalink.unwrap_or(true) && id.contains("://") {
            let href = resolve(element, &id);
            self.links.extend(href.map(|href| Link { rel: "permalink".into(), href }));
        }
        // An address below the feed's own is one only together with it.
        let id = match id.starts_with('/') {
            true => resolve(element, &id).unwrap_or(id),
            false => id,
        };
        self.id.offer(0, id);
    }

    fn take_link(&mut self, element: &Element) {
        let address = match element.attribute("href") {
            Some(href) => href.trim().to_owned(),
            None => element.text().trim().to_owned(),
        };
        let rel = element.attribute("rel").unwrap_or("alternate").trim().to_ascii_lowercase();
        if let Some(href) = resolve(element, &address) {
            self.links.push(Link { rel, href });
        }
    }

    fn take_category(&mut self, element: &Element) {
        match element.attribute("term").or_else(|| element.attribute("label")) {
            Some(term) => self.tag(term),
            None => self.tag(&element.text()),
        }
    }

    fn tag(&mut self, tag: &str) {
        let tag = tag.trim();
        let fits = self.tags.len() < TAGS_MAX && !tag.is_empty();
        if fits && !self.tags.iter().any(|held| held == tag) {
            self.tags.push(tag.to_owned());
        }
    }

    /// Of several renditions of the content the one with markup is kept, then the longest.
    fn take_content(&mut self, rank: u8, text: Text) {
        let better = match self.content.get() {
            None => true,
            Some(held) => (text.html, text.value.len()) > (held.html, held.value.len()),
        };
        if better && !text.value.trim().is_empty() {
            self.content = Best(Some((rank, text)));
        }
    }

    /// Writes the fields as an Atom entry.
    pub(super) fn write_entry(&self, out: &mut String) {
        out.push_str("<entry>");
        self.write("summary", out);
        out.push_str("</entry>");
    }

    /// Writes the fields as the head of an Atom feed.
    pub(super) fn write_head(&self, out: &mut String) {
        self.write("subtitle", out);
    }

    fn write(&self, summary: &str, out: &mut String) {
        let mut plain = |name: &str, value: &str| {
            out.push_str(&format!("<{name}>{}</{name}>", escape(value)));
        };
        if let Some(id) = self.id.get() {
            plain("id", id);
        }
        if let Some(date) = self.published.get() {
            plain("published", date);
        }
        if let Some(date) = self.updated.get() {
            plain("updated", date);
        }
        let texts = [("title", &self.title), (summary, &self.summary), ("content", &self.content)];
        for (name, text) in texts {
            if let Some(text) = text.get() {
                write_text(name, text, out);
            }
        }
        for link in &self.links {
            let (rel, href) = (escape(link.rel.as_str()), escape(link.href.as_str()));
            out.push_str(&format!("<link rel=\"{rel}\" href=\"{href}\"/>"));
        }
        let fallback = self.podcast_author.iter().filter(|_| self.authors.is_empty());
        for author in self.authors.iter().chain(fallback) {
            write_author(author, out);
        }
        for tag in &self.tags {
            out.push_str(&format!("<category term=\"{}\"/>", escape(tag.as_str())));
        }
    }
}

fn write_text(name: &str, text: &Text, out: &mut String) {
    let kind = if text.html { "html" } else { "text" };
    out.push_str(&format!("<{name} type=\"{kind}\""));
    if let Some(base) = &text.base {
        out.push_str(&format!(" xml:base=\"{}\"", escape(base.as_str())));
    }
    out.push('>');
    out.push_str(&escape(text.value.as_str()));
    out.push_str(&format!("</{name}>"));
}

fn write_author(author: &Person, out: &mut String) {
    out.push_str("<author>");
    for (name, value) in [("name", &author.name), ("email", &author.email), ("uri", &author.url)] {
        if let Some(value) = value {
            out.push_str(&format!("<{name}>{}</{name}>", escape(value.as_str())));
        }
    }
    out.push_str("</author>");
}

/// An absolute address, or none where the text is not one.
fn resolve(element: &Element, address: &str) -> Option<String> {
    let address = address.trim();
    if address.is_empty() {
        return None;
    }
    let url = match &element.base {
        Some(base) => base.join(address),
        None => Url::parse(address),
    };
    url.ok().map(String::from)
}

/// The text of an element by its `type` and `mode`; `html` is what it is without them.
fn text(element: &Element, html: bool) -> Text {
    let lower = |name| element.attribute(name).map(|value| value.trim().to_ascii_lowercase());
    let (kind, mode) = (lower("type").unwrap_or_default(), lower("mode").unwrap_or_default());
    let has_markup = element.children.iter().any(|child| matches!(child, Node::Element(_)));
    let is_xml = kind == "xhtml" || kind.ends_with("/xml") || kind.ends_with("+xml");
    let is_base64 = mode == "base64"
        || (kind.contains('/') && !is_xml && !kind.starts_with("text/") && mode.is_empty());
    let base = element.base.clone();
    if has_markup || (is_xml && mode != "escaped" && !is_base64) {
        return Text { value: element.markup().trim().to_owned(), html: true, base };
    }
    let mut value = element.text().trim().to_owned();
    if is_base64 {
        value = base64(&value).unwrap_or(value);
    }
    let html = match kind.as_str() {
        "html" | "text/html" => true,
        _ => html || looks_like_html(&value),
    };
    Text { value, html, base }
}

fn base64(text: &str) -> Option<String> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let compact: String = text.split_ascii_whitespace().collect();
    let bytes = GeneralPurpose::new(&STANDARD, LENIENT).decode(compact).ok()?;
    String::from_utf8(bytes).ok().map(|text| text.trim().to_owned())
}

/// A person as child elements (Atom) or as one line of text (RSS).
fn person(element: &Element) -> Option<Person> {
    let mut person = Person::default();
    for child in element.elements() {
        let value = Some(child.text().trim().to_owned()).filter(|value| !value.is_empty());
        match child.name.as_str() {
            "name" => person.name = value,
            "email" => person.email = value,
            "uri" | "url" | "homepage" => {
                person.url = value.and_then(|value| resolve(child, &value));
            }
            _ => {}
        }
    }
    if person == Person::default() {
        person = Person::parse(&element.text());
    }
    // feed-rs drops a person without a name; one known by a page alone is called by it.
    if person.name.is_none() && person.email.is_none() {
        person.name.clone_from(&person.url);
    }
    (person != Person::default()).then_some(person)
}
