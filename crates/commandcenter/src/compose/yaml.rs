//! YAML as a tree in which each key and value knows its file and line. Pure.

use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

/// Values in one file, aliases counted as often as they are used.
const NODES_MAX: usize = 50_000;

/// What aliases stand for in one file, in bytes.
const ALIASED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Values within values.
const DEPTH_MAX: usize = 50;

/// Where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    /// Which of the files that were read.
    pub(super) file: usize,
    /// From 1.
    pub(super) line: usize,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
    pub(super) merging: Merging,
}

/// What a value is. Scalars stay text: whoever takes one knows what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) value: Node,
}

/// What happens to the value of an earlier file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Merging {
    #[default]
    Join,
    /// `!reset`: it goes.
    Reset,
    /// `!override`: this takes its place.
    Override,
}

impl Node {
    pub(super) fn new(place: Place, value: Value) -> Self {
        Self { place, value, merging: Merging::Join }
    }

    /// The entries of a mapping; none of anything else.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The value of a key, to be changed.
    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let Value::Map(entries) = &mut self.value else { return None };
        entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
    }

    fn size(&self) -> Size {
        let own = Size { values: 1, depth: 1, bytes: 0 };
        match &self.value {
            Value::Null => own,
            Value::Text(text) => Size { bytes: text.len(), ..own },
            Value::List(items) => items.iter().fold(own, |size, item| size.with(0, item.size())),
            Value::Map(entries) => entries
                .iter()
                .fold(own, |size, entry| size.with(entry.key.len(), entry.value.size())),
        }
    }
}

/// How much a value is.
#[derive(Clone, Copy)]
struct Size {
    /// With those in it.
    values: usize,
    /// How deep they lie.
    depth: usize,
    /// Of their text.
    bytes: usize,
}

impl Size {
    /// With a key and its value, or an item.
    fn with(self, key: usize, inner: Size) -> Size {
        Size {
            values: self.values + inner.values,
            depth: self.depth.max(1 + inner.depth),
            bytes: self.bytes + key + inner.bytes,
        }
    }
}

/// What is wrong with a text, and on which line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) line: usize,
    pub(super) message: String,
}

/// Reads one document. Anchors and merge keys are resolved.
pub(super) fn load(text: &str, file: usize) -> Result<Node, Wrong> {
    let mut loader = Loader {
        parser: Parser::new_from_str(text),
        file,
        anchors: BTreeMap::new(),
        nodes: 0,
        aliased: 0,
        depth: 0,
    };
    let mut document = None;
    loop {
        let (event, span) = loader.next()?;
        match event {
            Event::StreamEnd => break,
            Event::DocumentStart(_) => {
                let (event, at) = loader.next()?;
                let node = loader.node(event, at)?;
                // An empty one is none, such as after a `---` at the end.
                let is_empty = |node: &Node| node.value == Value::Null;
                match &document {
                    Some(known) if !is_empty(known) && !is_empty(&node) => {
                        return Err(wrong(span, "a second document; a file has one"));
                    }
                    Some(_) if is_empty(&node) => {}
                    _ => document = Some(node),
                }
            }
            _ => {}
        }
    }
    Ok(document.unwrap_or_else(|| Node::new(Place { file, line: 1 }, Value::Null)))
}

fn wrong(span: Span, message: impl Into<String>) -> Wrong {
    Wrong { line: span.start.line(), message: message.into() }
}

struct Loader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    file: usize,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    /// In bytes.
    aliased: usize,
    depth: usize,
}

impl<'a> Loader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Wrong> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(Wrong {
                line: error.marker().line(),
                message: format!("is no valid YAML: {}", error.info()),
            }),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, Wrong> {
        self.count(1, span)?;
        let (anchor, value, tag) = match event {
            Event::Scalar(text, style, anchor, tag) => (anchor, scalar(&text, style), tag),
            Event::SequenceStart(anchor, tag) => (anchor, self.nested(span, Self::list)?, tag),
            Event::MappingStart(anchor, tag) => (anchor, self.nested(span, Self::map)?, tag),
            Event::Alias(id) => return self.alias(id, span),
            _ => return Err(wrong(span, "is no valid YAML: a value is missing")),
        };
        let mut node = Node::new(self.place(span), value);
        node.merging = merging(tag.as_deref(), span)?;
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn place(&self, span: Span) -> Place {
        Place { file: self.file, line: span.start.line() }
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Wrong> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            return Err(wrong(span, format!("more than {NODES_MAX} values; split the file")));
        }
        Ok(())
    }

    fn nested(
        &mut self,
        span: Span,
        read: impl FnOnce(&mut Self) -> Result<Value, Wrong>,
    ) -> Result<Value, Wrong> {
        self.check_depth(1, span)?;
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn check_depth(&self, more: usize, span: Span) -> Result<(), Wrong> {
        if self.depth + more > DEPTH_MAX {
            return Err(wrong(span, format!("more than {DEPTH_MAX} values within each other")));
        }
        Ok(())
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<Node, Wrong> {
        let Some(node) = self.anchors.get(&id) else {
            return Err(wrong(span, "an alias within its own anchor would never end"));
        };
        let node = node.clone();
        let size = node.size();
        self.count(size.values, span)?;
        self.check_depth(size.depth, span)?;
        self.aliased += size.bytes;
        if self.aliased > ALIASED_BYTES_MAX {
            let message = format!("aliases stand for more than {ALIASED_BYTES_MAX} bytes");
            return Err(wrong(span, message));
        }
        Ok(node)
    }

    fn list(&mut self) -> Result<Value, Wrong> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn map(&mut self) -> Result<Value, Wrong> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let Value::Text(key) = self.node(event, span)?.value else {
                return Err(wrong(span, "a key must be a word"));
            };
            let (event, value_span) = self.next()?;
            let value = self.node(event, value_span)?;
            if key == "<<" {
                merged.push((value, span));
            } else if let Some(line) = lines.get(&key) {
                return Err(wrong(span, format!("the key `{key}` is on line {line} already")));
            } else {
                lines.insert(key.clone(), span.start.line());
                entries.push(Entry { key, place: self.place(span), value });
            }
        }
        let mut known = lines.into_keys().collect();
        for (value, span) in merged {
            merge_key(&mut entries, &mut known, value, span)?;
        }
        Ok(Value::Map(entries))
    }
}

/// `<<`: keys that are said win over merged ones, and earlier ones over later ones.
fn merge_key(
    entries: &mut Vec<Entry>,
    known: &mut BTreeSet<String>,
    value: Node,
    span: Span,
) -> Result<(), Wrong> {
    match value.value {
        Value::Null => Ok(()),
        Value::List(items) => {
            items.into_iter().try_for_each(|item| merge_key(entries, known, item, span))
        }
        Value::Map(merged) => {
            entries.extend(merged.into_iter().filter(|entry| known.insert(entry.key.clone())));
            Ok(())
        }
        _ => Err(wrong(span, "<< merges mappings only")),
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    let is_null = matches!(text, "" | "~" | "null" | "Null" | "NULL");
    if is_null && style == ScalarStyle::Plain {
        return Value::Null;
    }
    Value::Text(text.to_owned())
}

fn merging(tag: Option<&Tag>, span: Span) -> Result<Merging, Wrong> {
    match tag {
        None => Ok(Merging::Join),
        Some(tag) if tag.is_yaml_core_schema() => Ok(Merging::Join),
        Some(tag) if tag.handle == "!" && tag.suffix == "reset" => Ok(Merging::Reset),
        Some(tag) if tag.handle == "!" && tag.suffix == "override" => Ok(Merging::Override),
        Some(tag) => Err(wrong(
            span,
            format!("the tag {}{} means nothing here; remove it", tag.handle, tag.suffix),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(node: Option<&Node>) -> &str {
        match node.map(|node| &node.value) {
            Some(Value::Text(text)) => text,
            other => panic!("no text: {other:?}"),
        }
    }

    #[test]
    fn keys_and_values_know_their_lines() {
        let node = load("a: 1\nb:\n  - x\n  - c: ''\n    d: ~\n", 3).expect("YAML");
        assert_eq!(node.entries()[1].place, Place { file: 3, line: 2 });
        let Value::List(items) = &node.get("b").expect("b").value else { panic!("{node:?}") };
        assert_eq!(items[1].place.line, 4);
        assert_eq!(text(items[1].get("c")), "");
        assert_eq!(items[1].get("d").expect("d").value, Value::Null);
    }

    #[test]
    fn anchors_and_merge_keys() {
        let yaml = "x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz:\n  <<: [*x, *y]\n  a: 0\nw: *x\n";
        let node = load(yaml, 0).expect("YAML");
        let z = node.get("z").expect("z");
        assert_eq!([text(z.get("a")), text(z.get("b")), text(z.get("c"))], ["0", "2", "4"]);
        assert_eq!(text(node.get("w").and_then(|w| w.get("b"))), "2");
    }

    #[test]
    fn what_is_empty_says_nothing() {
        for yaml in
            ["a: 1\n---\n", "---\na: 1\n---\n# nothing\n", "---\n---\na: 1\n", "a: 1\n<<:\n"]
        {
            let node = load(yaml, 0).unwrap_or_else(|wrong| panic!("{yaml:?}: {wrong:?}"));
            assert_eq!(text(node.get("a")), "1", "{yaml:?}");
        }
    }

    #[test]
    fn what_is_wrong_has_a_line() {
        let bomb = (1..9).fold("a0: &a0 [x, x]\n".to_owned(), |text, level| {
            let below = vec![format!("*a{}", level - 1); 9].join(", ");
            format!("{text}a{level}: &a{level} [{below}]\n")
        });
        let wide = format!("a: &a {}\nb: [{}]\n", "x".repeat(1_000_000), ["*a"; 9].join(", "));
        let deep = "[".repeat(60) + &"]".repeat(60);
        let [open, close] = ["[".repeat(40), "]".repeat(40)];
        let deep_by_alias = format!("a: &a {open}{close}\nb: {open}*a{close}\n");
        for (yaml, line, message) in [
            ("a: 1\nb: [1\nc: 2\n", 3, "no valid YAML"),
            ("a: 1\nb: 2\na: 3\n", 3, "on line 1 already"),
            ("a:\n  - b\n c: 1\n", 3, "no valid YAML"),
            ("a: 1\n---\nb: 1\n", 2, "second document"),
            ("a: !include x\n", 1, "means nothing"),
            ("<<: x\n", 1, "mappings only"),
            ("? [a]\n: b\n", 1, "a key must be a word"),
            ("a: *b\n", 1, "no valid YAML"),
            ("a: &a [*a]\n", 1, "never end"),
            (&deep, 1, "within each other"),
            (&deep_by_alias, 2, "within each other"),
            (&bomb, 6, "more than 50000 values"),
            (&wide, 2, "aliases stand for more than"),
        ] {
            let wrong = load(yaml, 0).expect_err(yaml);
            assert!(wrong.message.contains(message), "{yaml:?}: {wrong:?}");
            assert_eq!(wrong.line, line, "{yaml:?}: {wrong:?}");
        }
    }
}
