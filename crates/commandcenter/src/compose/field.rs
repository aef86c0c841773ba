//! A value with the path of keys that leads to it, and what it must be.

use super::{
    report::Report,
    units,
    yaml::{Entry, Node, Place, Value},
};

/// A value of a file.
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    pub(super) node: &'a Node,
    /// Such as `services.web.ports[0]`.
    pub(super) path: String,
}

impl<'a> Field<'a> {
    pub(super) fn root(node: &'a Node) -> Self {
        Self { node, path: String::new() }
    }

    /// The value of a key; one that is null is none.
    pub(super) fn get(&self, key: &str) -> Option<Field<'a>> {
        let node = self.node.get(key).filter(|node| node.value != Value::Null)?;
        Some(Field { node, path: self.child(key) })
    }

    fn child(&self, key: &str) -> String {
        let dot = if self.path.is_empty() { "" } else { "." };
        format!("{}{dot}{key}", self.path)
    }

    /// Every key with its value.
    pub(super) fn entries(&self, report: &mut Report) -> Vec<(&'a Entry, Field<'a>)> {
        if !matches!(self.node.value, Value::Map(_) | Value::Null) {
            report.fault(self, "must be a mapping of keys to values");
        }
        let field =
            |entry: &'a Entry| (entry, Field { node: &entry.value, path: self.child(&entry.key) });
        self.node.entries().iter().map(field).collect()
    }

    /// Every item; a single text is a list of one.
    pub(super) fn one_or_more(&self, report: &mut Report) -> Vec<Field<'a>> {
        match &self.node.value {
            Value::Text(_) => vec![self.clone()],
            _ => self.items(report),
        }
    }

    /// Every item.
    pub(super) fn items(&self, report: &mut Report) -> Vec<Field<'a>> {
        match &self.node.value {
            Value::List(items) => {
                let field = |(index, node)| Field { node, path: format!("{}[{index}]", self.path) };
                items.iter().enumerate().map(field).collect()
            }
            Value::Null => Vec::new(),
            Value::Text(_) | Value::Map(_) => {
                report.fault(self, "must be a list");
                Vec::new()
            }
        }
    }

    pub(super) fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    /// The text, when it is one.
    pub(super) fn as_text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn text(&self, report: &mut Report) -> String {
        self.as_text().map(str::to_owned).unwrap_or_else(|| {
            report.fault(self, "must be a text");
            String::new()
        })
    }

    /// A list of texts.
    pub(super) fn texts(&self, report: &mut Report) -> Vec<String> {
        self.items(report).iter().map(|item| item.text(report)).collect()
    }

    pub(super) fn flag(&self, report: &mut Report) -> bool {
        self.as_text().and_then(boolean).unwrap_or_else(|| {
            report.fault(self, "must be true or false");
            false
        })
    }

    /// A whole number, or what `read` makes of the text.
    pub(super) fn read<T>(
        &self,
        report: &mut Report,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.as_text().ok_or_else(|| "must be a text or number".to_owned());
        report.take(self, text.and_then(read))
    }

    pub(super) fn number(&self, report: &mut Report) -> Option<u32> {
        self.read(report, |text| {
            text.parse().map_err(|_| format!("must be a whole number, not {text:?}"))
        })
    }

    /// A whole number where 0 would stand for the default.
    pub(super) fn positive(&self, report: &mut Report) -> Option<u32> {
        let number = self.number(report)?;
        let positive = if number > 0 { Ok(number) } else { Err(units::NOT_ZERO.to_owned()) };
        report.take(self, positive)
    }

    /// Whether it says no more than the default: it is empty, or a switch that is off.
    pub(super) fn is_nothing(&self) -> bool {
        self.is_empty() || self.as_text().and_then(boolean) == Some(false)
    }

    /// Nothing, an empty text, or an empty collection.
    pub(super) fn is_empty(&self) -> bool {
        match &self.node.value {
            Value::Null => true,
            Value::Text(text) => text.is_empty(),
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
        }
    }

    /// Names with values, from a mapping or a list of `NAME=VALUE`. A name alone has none.
    pub(super) fn pairs(&self, report: &mut Report) -> Vec<(String, Option<String>, Place)> {
        if self.is_map() {
            let entries = self.entries(report).into_iter();
            return entries
                .map(|(entry, value)| {
                    let is_null = value.node.value == Value::Null;
                    let text = (!is_null).then(|| value.text(report));
                    (entry.key.clone(), text, entry.place)
                })
                .collect();
        }
        let items = self.items(report).into_iter();
        items
            .map(|item| {
                let text = item.text(report);
                let place = item.node.place;
                match text.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned()), place),
                    None => (text, None, place),
                }
            })
            .collect()
    }
}

/// A switch, as YAML has written them over time.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}
