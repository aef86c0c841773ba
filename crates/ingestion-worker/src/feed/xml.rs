//! Reads XML element by element, forgiving what feeds get wrong and bounding what they may cost.

use std::cell::Cell;
use std::collections::HashMap;

use quick_xml::NsReader;
use quick_xml::escape::{resolve_html5_entity, unescape_with};
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use url::Url;

use super::Error;
use super::element::{Element, Node, Vocabulary};

/// Elements within elements: real feeds stay below 30 even with XHTML inside.
pub(super) const DEPTH_MAX: usize = 64;

/// A longer `xml:base` is none: every element inside would carry it along.
const BASE_BYTES_MAX: usize = 2_048;

/// What the entities that a document declares itself may expand to, in bytes in all.
pub(super) const EXPANSION_BYTES_MAX: usize = 1024 * 1024;

/// The refusal of a document whose entities expand to more.
const TOO_MUCH: Error = Error::EntityExpansion { limit_bytes: EXPANSION_BYTES_MAX };

/// Walks a document. Tags that nobody closed are closed, ends without a start are ignored.
pub(super) struct Reader<'a> {
    events: NsReader<&'a [u8]>,
    entities: HashMap<String, String>,
    expanded_bytes: usize,
    /// Names and bases of the open elements.
    open: Vec<(String, Option<Url>)>,
    document_base: Option<Url>,
    root_namespace: Option<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, base: Option<&Url>) -> Self {
        let mut events = NsReader::from_str(text);
        let config = events.config_mut();
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        config.allow_dangling_amp = true;
        config.expand_empty_elements = true;
        Self {
            events,
            entities: HashMap::new(),
            expanded_bytes: 0,
            open: Vec::new(),
            document_base: base.cloned(),
            root_namespace: None,
        }
    }

    /// The next element that starts, inside the last one or after it; none at the end.
    pub(super) fn next_element(&mut self) -> Result<Option<Element>, Error> {
        loop {
            match self.event()? {
                Some(Piece::Open(element)) => return Ok(Some(element)),
                Some(Piece::Close(_) | Piece::Text(_)) => {}
                None => return Ok(None),
            }
        }
    }

    /// Whether the document stopped before its elements were closed.
    pub(super) fn is_broken_off(&self) -> bool {
        !self.open.is_empty()
    }

    /// Reads the content of the element that was just opened, up to its end. Tells whether the
    /// document went on until then.
    pub(super) fn fill(&mut self, element: &mut Element) -> Result<bool, Error> {
        let floor = self.open.len();
        let mut above: Vec<Element> = Vec::new();
        let mut current = std::mem::take(element);
        let complete = loop {
            match self.event()? {
                Some(Piece::Open(child)) => above.push(std::mem::replace(&mut current, child)),
                Some(Piece::Text(text)) => match current.children.last_mut() {
                    Some(Node::Text(before)) => before.push_str(&text),
                    _ => current.children.push(Node::Text(text)),
                },
                Some(Piece::Close(_)) if self.open.len() < floor => break true,
                Some(Piece::Close(count)) => {
                    for _ in 0..count {
                        let Some(mut parent) = above.pop() else { break };
                        std::mem::swap(&mut parent, &mut current);
                        current.children.push(Node::Element(parent));
                    }
                }
                None => break false,
            }
        };
        while let Some(mut parent) = above.pop() {
            std::mem::swap(&mut parent, &mut current);
            current.children.push(Node::Element(parent));
        }
        *element = current;
        Ok(complete)
    }

    /// The next event, or none when the document is over or unreadable from here.
    fn event(&mut self) -> Result<Option<Piece>, Error> {
        loop {
            let Ok((namespace, event)) = self.events.read_resolved_event() else {
                return Ok(None);
            };
            match event {
                Event::Start(start) => {
                    let namespace = match namespace {
                        ResolveResult::Bound(bound) => Some(bound.as_ref().to_owned()),
                        ResolveResult::Unbound => None,
                        // Undeclared prefixes are common; each has one usual meaning.
                        ResolveResult::Unknown(prefix) => Some(prefix),
                    };
                    return self.start(&start, namespace).map(|element| Some(Piece::Open(element)));
                }
                Event::End(end) => {
                    let name = end.name();
                    let found = self.open.iter().rposition(|(open, _)| open == name.as_ref());
                    let count = found.map_or(0, |at| self.open.len() - at);
                    self.open.truncate(self.open.len() - count);
                    return Ok(Some(Piece::Close(count)));
                }
                Event::Text(text) => return Ok(Some(Piece::Text(clean(&text)))),
                Event::CData(text) => return Ok(Some(Piece::Text(clean(&text)))),
                Event::GeneralRef(reference) => {
                    let text = self.resolve(&reference)?;
                    return Ok(Some(Piece::Text(text)));
                }
                Event::DocType(declaration) => self.declare(&declaration),
                Event::Eof => return Ok(None),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::Empty(_) => {}
            }
        }
    }

    fn start(&mut self, start: &BytesStart, namespace: Option<String>) -> Result<Element, Error> {
        if self.open.len() >= DEPTH_MAX {
            return Err(Error::TooDeep { limit: DEPTH_MAX });
        }
        if self.open.is_empty() {
            self.root_namespace.clone_from(&namespace);
        }
        let vocabulary = match namespace {
            None => Vocabulary::Feed,
            Some(ref name) if self.root_namespace.as_ref() == Some(name) => Vocabulary::Feed,
            Some(ref name) => Vocabulary::of(name),
        };
        let mut attributes = Vec::new();
        for attribute in start.attributes().with_checks(false).flatten() {
            // Counted as it goes: one attribute could ask for a terabyte.
            let expanded_bytes = Cell::new(self.expanded_bytes);
            let resolve = |name: &str| {
                if let Some(text) = resolve_html5_entity(name) {
                    return Some(text);
                }
                let text = self.entities.get(name)?;
                expanded_bytes.set(expanded_bytes.get().saturating_add(text.len()));
                (expanded_bytes.get() <= EXPANSION_BYTES_MAX).then_some(text.as_str())
            };
            let value = unescape_with(&attribute.value, resolve)
                .unwrap_or_else(|_| attribute.value.as_ref().into());
            let value = clean(&value);
            self.expanded_bytes = expanded_bytes.get();
            if self.expanded_bytes > EXPANSION_BYTES_MAX {
                return Err(TOO_MUCH);
            }
            attributes.push((attribute.key.as_ref().to_owned(), value));
        }
        let outer = self.open.last().map_or(&self.document_base, |(_, base)| base);
        let own = attributes.iter().find(|(key, _)| key == "xml:base");
        let base = match own {
            Some((_, address)) => resolve_base(outer.as_ref(), address).or_else(|| outer.clone()),
            None => outer.clone(),
        };
        let mut name = start.local_name().as_ref().to_owned();
        if vocabulary == Vocabulary::Feed {
            name.make_ascii_lowercase();
        }
        self.open.push((start.name().as_ref().to_owned(), base.clone()));
        Ok(Element { vocabulary, name, attributes, base, children: Vec::new() })
    }

    fn resolve(&mut self, reference: &quick_xml::events::BytesRef) -> Result<String, Error> {
        let name: &str = reference;
        if let Ok(Some(character)) = reference.resolve_char_ref() {
            return Ok(clean(&windows_1252(character).to_string()));
        }
        if let Some(text) = resolve_html5_entity(name) {
            return Ok(text.to_owned());
        }
        let Some(text) = self.entities.get(name) else {
            return Ok(format!("&{name};"));
        };
        self.expanded_bytes = self.expanded_bytes.saturating_add(text.len());
        match self.expanded_bytes > EXPANSION_BYTES_MAX {
            true => Err(TOO_MUCH),
            false => Ok(text.clone()),
        }
    }

    /// Keeps `<!ENTITY name "text">`. References to other declared entities inside the text stay as
    /// they are written, so expansions do not multiply; external entities are never fetched.
    fn declare(&mut self, declaration: &str) {
        for entity in declaration.split("<!ENTITY").skip(1) {
            let entity = entity.trim_start();
            let Some((name, rest)) = entity.split_once(char::is_whitespace) else { continue };
            let rest = rest.trim_start();
            let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
                continue;
            };
            if let Some(end) = rest[1..].find(quote) {
                let text = &rest[1..=end];
                let text = unescape_with(text, resolve_html5_entity).unwrap_or(text.into());
                self.entities.insert(name.to_owned(), clean(&text));
            }
        }
    }
}

enum Piece {
    Open(Element),
    /// This many elements ended.
    Close(usize),
    Text(String),
}

/// An `xml:base`, itself relative to the one around it. Only web addresses are bases.
fn resolve_base(outer: Option<&Url>, address: &str) -> Option<Url> {
    let address = Some(address.trim()).filter(|it| it.len() <= BASE_BYTES_MAX)?;
    let base = Url::parse(address).or_else(|error| match outer {
        Some(outer) => outer.join(address),
        None => Err(error),
    });
    base.ok().filter(|base| matches!(base.scheme(), "http" | "https"))
}

/// Drops the control characters that XML forbids and databases refuse.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r')).collect()
}

/// Numeric references to C1 controls mean Windows-1252 in practice, as HTML specifies.
fn windows_1252(character: char) -> char {
    match u8::try_from(u32::from(character)) {
        Ok(byte @ 0x80..=0x9F) => {
            let (text, ..) = encoding_rs::WINDOWS_1252.decode(std::slice::from_ref(&byte));
            text.chars().next().unwrap_or(character)
        }
        _ => character,
    }
}
