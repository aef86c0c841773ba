//! Which records are wanted.

use memchr::memmem::Finder;

use super::level::Level;
use super::record::Raw;
use super::segment::{ALWAYS, Block};

/// What a record must be to be shown. Gaps pass every filter within the time: whoever filters must
/// still learn that something is missing. Marks pass while neither text nor level is asked for.
#[derive(Debug, Clone)]
pub struct Filter {
    since: i64,
    until: i64,
    level: Option<Level>,
    contains: Option<Finder<'static>>,
}

impl Default for Filter {
    fn default() -> Self {
        Self { since: i64::MIN, until: i64::MAX, level: None, contains: None }
    }
}

impl Filter {
    /// Nothing older than this, in nanoseconds since 1970.
    #[must_use]
    pub fn since(self, since: i64) -> Self {
        Self { since, ..self }
    }

    /// Nothing newer than this, in nanoseconds since 1970.
    #[must_use]
    pub fn until(self, until: i64) -> Self {
        Self { until, ..self }
    }

    /// Only lines of this level and worse.
    #[must_use]
    pub fn at_least(self, level: Level) -> Self {
        Self { level: Some(level), ..self }
    }

    /// Only lines that contain this text; an empty text is in every line.
    #[must_use]
    pub fn containing(self, text: &str) -> Self {
        let contains = (!text.is_empty()).then(|| Finder::new(text).into_owned());
        Self { contains, ..self }
    }

    /// Whether a record is wanted.
    pub(super) fn admits(&self, raw: &Raw<'_>) -> bool {
        if !(self.since..=self.until).contains(&raw.at) {
            return false;
        }
        match raw.line() {
            Some(text) => {
                self.level.is_none_or(|level| raw.level() >= level as u8)
                    && self.contains.as_ref().is_none_or(|it| it.find(text).is_some())
            }
            None => raw.is_gap() || self.is_by_time(),
        }
    }

    /// Whether a block can have a record that is wanted.
    pub(super) fn may_admit(&self, block: &Block) -> bool {
        self.overlaps(block.oldest, block.newest)
            && (block.worst == ALWAYS || self.level.is_none_or(|level| block.worst >= level as u8))
    }

    /// Whether something with these times can be wanted.
    pub(super) fn overlaps(&self, oldest: i64, newest: i64) -> bool {
        oldest <= self.until && newest >= self.since
    }

    fn is_by_time(&self) -> bool {
        self.level.is_none() && self.contains.is_none()
    }
}
