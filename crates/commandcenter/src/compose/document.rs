//! Files become one tree: read, expanded, extended and merged.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    rc::Rc,
};

use super::{
    Document, disk,
    field::Field,
    interpolate::{self, Variables},
    key, merge, relative,
    report::Report,
    yaml::{self, Merging, Node, Value},
};

/// Services that extend each other in a row.
const EXTENDS_MAX: usize = 10;

/// All texts of the files after expansion, in bytes.
const EXPANDED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What files are read with.
pub(super) struct Reader<'a> {
    folder: &'a Path,
    variables: &'a Variables,
    report: &'a mut Report,
    /// Services of other files by name; none of those that cannot be read.
    others: BTreeMap<String, Option<Rc<Node>>>,
    /// Of all texts after expansion, in bytes.
    expanded: usize,
}

impl<'a> Reader<'a> {
    /// Relative paths begin at the folder.
    pub(super) fn new(folder: &'a Path, variables: &'a Variables, report: &'a mut Report) -> Self {
        Self { folder, variables, report, others: BTreeMap::new(), expanded: 0 }
    }

    /// All documents as one; a later one wins over an earlier one.
    pub(super) fn all(&mut self, documents: &[Document]) -> Option<Node> {
        let mut merged: Option<Node> = None;
        for document in documents {
            let node = self.expanded(&document.name, &document.text)?;
            let node = self.extended(node);
            merged = Some(merge::settled(match merged {
                Some(before) => merge::merge(before, node, ""),
                None => node,
            }));
        }
        merged
    }

    fn expanded(&mut self, name: &str, text: &str) -> Option<Node> {
        let file = self.report.file(name);
        match yaml::load(text, file) {
            Ok(mut node) => {
                self.expand(&mut node, "");
                Some(node)
            }
            Err(wrong) => {
                self.report.wrong(file, wrong);
                None
            }
        }
    }

    /// Replaces the variables in every value.
    fn expand(&mut self, node: &mut Node, path: &str) {
        let place = node.place;
        match &mut node.value {
            Value::Null => {}
            // One fault about it is enough.
            Value::Text(_) if self.expanded > EXPANDED_BYTES_MAX => {}
            Value::Text(text) => {
                let mut unset = BTreeSet::new();
                match interpolate::expand(text, self.variables, &mut unset) {
                    Ok(expanded) => *text = expanded,
                    Err(why) => self.report.at(place, path, why),
                }
                for name in unset {
                    self.report.warn_at(place, path, interpolate::is_unset(&name));
                }
                self.expanded += text.len();
                if self.expanded > EXPANDED_BYTES_MAX {
                    let message = format!("variables make more than {EXPANDED_BYTES_MAX} bytes");
                    self.report.at(place, path, message);
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.expand(item, &format!("{path}[{index}]"));
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    let dot = if path.is_empty() { "" } else { "." };
                    self.expand(&mut entry.value, &format!("{path}{dot}{}", entry.key));
                }
            }
        }
    }

    /// Every service with what it extends.
    fn extended(&mut self, mut document: Node) -> Node {
        let Some(services) = document.get("services").cloned() else { return document };
        let Value::Map(entries) = &mut document.value else { return document };
        for entry in entries.iter_mut().filter(|entry| entry.key == "services") {
            if let Value::Map(own) = &mut entry.value.value {
                for service in own {
                    let node = std::mem::replace(
                        &mut service.value,
                        Node::new(service.place, Value::Null),
                    );
                    service.value = self.service(&services, &service.key, node, 0);
                }
            }
        }
        document
    }

    /// A service of `services` with what it extends.
    fn service(&mut self, services: &Node, name: &str, mut node: Node, depth: usize) -> Node {
        let Value::Map(entries) = &mut node.value else { return node };
        let Some(index) = entries.iter().position(|entry| entry.key == "extends") else {
            return node;
        };
        let extends = entries.remove(index);
        if extends.value.merging == Merging::Reset {
            return node;
        }
        let field = Field { node: &extends.value, path: format!("services.{name}.extends") };
        if depth >= EXTENDS_MAX {
            self.report.fault(&field, "goes in a circle, or is too long a chain");
            return node;
        }
        match self.base(services, &field, depth) {
            Some(base) => merge::merge(merge::settled(base), node, ""),
            None => node,
        }
    }

    fn base(&mut self, services: &Node, field: &Field<'_>, depth: usize) -> Option<Node> {
        let mut name = field.as_text().map(str::to_owned);
        let mut other = None;
        if field.is_map() {
            key::check(field, key::EXTENDS, self.report);
            name = field.get("service").map(|it| it.text(self.report));
            if let Some(file) = field.get("file") {
                other = Some(self.other(&file)?);
            }
        }
        let Some(name) = name else {
            self.report.fault(field, "must name a service");
            return None;
        };
        let services = other.as_deref().unwrap_or(services);
        let Some(node) = services.get(&name).cloned() else {
            self.report.fault(field, format!("there is no service {name:?} to extend"));
            return None;
        };
        Some(self.service(services, &name, node, depth + 1))
    }

    /// The services of another file, which is read once.
    fn other(&mut self, file: &Field<'_>) -> Option<Rc<Node>> {
        let name = file.text(self.report);
        if let Some(known) = self.others.get(&name) {
            return known.clone();
        }
        let services = self.services_of(file, &name).map(Rc::new);
        self.others.insert(name, services.clone());
        services
    }

    fn services_of(&mut self, file: &Field<'_>, name: &str) -> Option<Node> {
        let text = disk::text(&self.folder.join(name)).map_err(|error| disk::fault(name, &error));
        let text = self.report.take(file, text)?;
        let document = self.expanded(name, &text)?;
        let services = document.get("services").cloned();
        if services.is_none() {
            self.report.fault(file, format!("{name} has no `services`; name a Compose file"));
        }
        let mut services = services?;
        relative::rebase(&mut services, Path::new(name));
        Some(services)
    }
}
