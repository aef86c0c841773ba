//! Which documents a search or a list is about. Pure.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Values of one field of a filter.
pub const VALUES_MAX: usize = 200;

/// A choice of documents. Every list is sorted, so that equal filters are equal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// Any of these projects; `None` means all, an empty list none.
    pub projects: Option<Vec<Uuid>>,
    /// Any of these sources; empty means all, here and below.
    pub sources: Vec<Uuid>,
    /// None of these sources.
    pub sources_not: Vec<Uuid>,
    /// Any of these kinds of source.
    pub kinds: Vec<String>,
    /// By any of these authors.
    pub authors: Vec<String>,
    /// With any of these tags.
    pub tags: Vec<String>,
    /// Not older.
    pub since: Option<DateTime<Utc>>,
    /// Older.
    pub until: Option<DateTime<Utc>>,
}

impl Filter {
    /// Whether nothing can pass.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.projects.as_ref().is_some_and(Vec::is_empty)
    }

    /// Whether everything passes.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// What it takes in memory, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        const OVERHEAD: usize = 200;
        const LABEL_OVERHEAD: usize = 24;
        let ids = self.projects.as_ref().map_or(0, Vec::len) + self.sources.len();
        let labels = self.kinds.iter().chain(&self.authors).chain(&self.tags);
        OVERHEAD
            + (ids + self.sources_not.len()) * size_of::<Uuid>()
            + labels.map(|label| label.len() + LABEL_OVERHEAD).sum::<usize>()
    }

    /// Whether documents have to be looked at, and not only where they lie.
    #[must_use]
    pub fn describes(&self) -> bool {
        !(self.kinds.is_empty() && self.authors.is_empty() && self.tags.is_empty())
            || self.since.is_some()
            || self.until.is_some()
    }
}
