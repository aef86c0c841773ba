//! Collects what is wrong with a spec, each fault with the path of its field.

use proto::{Failure, Reason, failure::Violation};

/// Faults of one spec, at most: who sends more has sent something else than a spec.
const FAULTS_MAX: usize = 100;

/// A field, such as `services.web.ports[0].host`, and where its faults go.
pub(super) struct At<'a> {
    path: String,
    faults: &'a mut Vec<Violation>,
}

impl<'a> At<'a> {
    /// The spec as a whole.
    pub(super) fn root(faults: &'a mut Vec<Violation>) -> Self {
        Self { path: String::new(), faults }
    }

    /// A field of this one.
    pub(super) fn field(&mut self, name: &str) -> At<'_> {
        let dot = if self.path.is_empty() { "" } else { "." };
        At { path: format!("{}{dot}{name}", self.path), faults: self.faults }
    }

    /// An element of this one.
    pub(super) fn index(&mut self, index: usize) -> At<'_> {
        At { path: format!("{}[{index}]", self.path), faults: self.faults }
    }

    /// Says what this field must be.
    pub(super) fn fault(&mut self, description: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            let description = description.into();
            self.faults.push(Violation { field: self.path.clone(), description });
        }
    }

    /// Says what this field must be, unless it is.
    pub(super) fn check(&mut self, holds: bool, description: impl FnOnce() -> String) {
        if !holds {
            self.fault(description());
        }
    }
}

/// One failure that names every fault, or the value when there is none.
pub(super) fn settle<T>(value: T, faults: Vec<Violation>) -> Result<T, Failure> {
    let Some(first) = faults.first() else { return Ok(value) };
    let more = match faults.len() {
        1 => String::new(),
        count => format!(" (and {} more faults)", count - 1),
    };
    let message = format!("{}: {}{more}", first.field, first.description);
    Err(Failure { violations: faults, ..Failure::new(Reason::InvalidInput, message) })
}
