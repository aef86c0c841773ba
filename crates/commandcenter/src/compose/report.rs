//! What is found wrong or odd in Compose files, each with its file, line and key.

use std::{collections::BTreeMap, fmt};

use super::{
    field::Field,
    yaml::{Place, Wrong},
};

/// Faults that are told at once.
const FAULTS_MAX: usize = 20;

/// Faults, or warnings, that are kept: nobody reads more.
const KEPT_MAX: usize = 100;

/// What is wrong at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// The key, such as `services.web.ports[0]`; empty: the file as a whole.
    pub key: String,
    /// What is wrong, and what to do about it.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, key, message } = self;
        let colon = if key.is_empty() { "" } else { ": " };
        write!(f, "{file}:{line}: {key}{colon}{message}")
    }
}

/// Why Compose files cannot be resolved: every fault, in the order of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// At least one.
    pub faults: Vec<Fault>,
    /// What was odd before, and may be the cause.
    pub warnings: Vec<String>,
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> =
            self.faults.iter().take(FAULTS_MAX).map(ToString::to_string).collect();
        f.write_str(&shown.join("\n"))?;
        match self.faults.len().saturating_sub(FAULTS_MAX) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

/// Where each field of a spec comes from.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    files: Vec<String>,
    fields: BTreeMap<String, (Place, String)>,
}

impl Origins {
    /// Whether this very field was written.
    pub(super) fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// The fault at the place where a field of the spec was written, or the nearest field around
    /// it; `None` when the spec as a whole is meant.
    #[must_use]
    pub fn fault(&self, field: &str, message: &str) -> Option<Fault> {
        let mut path = field;
        loop {
            if let Some((place, key)) = self.fields.get(path) {
                return Some(Fault {
                    file: self.files.get(place.file).cloned().unwrap_or_default(),
                    line: place.line,
                    key: key.clone(),
                    message: message.to_owned(),
                });
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

/// Collects faults, warnings and origins while files are read.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) origins: Origins,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<String>,
}

impl Report {
    /// A file that is going to be read.
    pub(super) fn file(&mut self, name: &str) -> usize {
        self.origins.files.push(name.to_owned());
        self.origins.files.len() - 1
    }

    /// How many files there are so far.
    pub(super) fn files(&self) -> usize {
        self.origins.files.len()
    }

    pub(super) fn at(&mut self, place: Place, key: &str, message: impl Into<String>) {
        self.push(self.place(place, key, message.into()));
    }

    pub(super) fn push(&mut self, fault: Fault) {
        if !self.is_full() && !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// Whether no more faults are kept.
    pub(super) fn is_full(&self) -> bool {
        self.faults.len() >= KEPT_MAX
    }

    fn place(&self, place: Place, key: &str, message: String) -> Fault {
        let file = self.origins.files.get(place.file).cloned().unwrap_or_default();
        Fault { file, line: place.line, key: key.to_owned(), message }
    }

    pub(super) fn wrong(&mut self, file: usize, wrong: Wrong) {
        self.at(Place { file, line: wrong.line }, "", wrong.message);
    }

    pub(super) fn fault(&mut self, field: &Field<'_>, message: impl Into<String>) {
        self.at(field.node.place, &field.path, message);
    }

    /// The value, or its fault.
    pub(super) fn take<T>(&mut self, field: &Field<'_>, value: Result<T, String>) -> Option<T> {
        value.map_err(|message| self.fault(field, message)).ok()
    }

    pub(super) fn warn(&mut self, field: &Field<'_>, message: impl Into<String>) {
        self.warn_at(field.node.place, &field.path, message.into());
    }

    pub(super) fn warn_at(&mut self, place: Place, key: &str, message: String) {
        let warning = self.place(place, key, message).to_string();
        if self.warnings.len() < KEPT_MAX && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// A field of the spec was written here.
    pub(super) fn origin(&mut self, spec: impl Into<String>, field: &Field<'_>) {
        self.origin_at(spec, field.node.place, &field.path);
    }

    /// A field of the spec, and all below it that have the same names there, were written here.
    pub(super) fn origins_of(&mut self, spec: &str, field: &Field<'_>) {
        self.origin(spec, field);
        for entry in field.node.entries() {
            let key = format!("{}.{}", field.path, entry.key);
            let spec = format!("{spec}.{}", entry.key);
            self.origin_at(&*spec, entry.place, &key);
            if !entry.value.entries().is_empty() {
                self.origins_of(&spec, &Field { node: &entry.value, path: key });
            }
        }
    }

    pub(super) fn origin_at(&mut self, spec: impl Into<String>, place: Place, key: &str) {
        self.origins.fields.insert(spec.into(), (place, key.to_owned()));
    }

    /// Everything that was wrong so far, from the top of the first file on.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let mut faults = std::mem::take(&mut self.faults);
        let file = |fault: &Fault| self.origins.files.iter().position(|it| *it == fault.file);
        faults.sort_by_key(|fault| (file(fault), fault.line));
        Err(Error { faults, warnings: std::mem::take(&mut self.warnings) })
    }
}
