//! Where a container's stream goes on after it was broken off: no line twice, none left out.
//!
//! The Engine sends everything from a time on, that time included, and several lines may share a
//! time. So what was kept is named by the time of its last line and by how many lines had that
//! time. The clock may step back: what is not newer than the newest line is skipped until the last
//! line has come again.

/// How much older than the line before it a line may be.
const DISORDER_NS_MAX: i64 = 1_000_000_000;

/// What was kept of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Point {
    /// Of the last line, in nanoseconds since 1970.
    pub at: i64,
    /// Lines with that time at the end; 0: no line was kept.
    pub count: u32,
    /// The newest time of all.
    pub newest: i64,
    /// Of the newest mark, so that no start and no end is told twice; 0 when there is none.
    pub marked: i64,
}

impl Point {
    /// Counts a line as kept.
    pub fn step(&mut self, at: i64) {
        self.newest = if self.count == 0 { at } else { self.newest.max(at) };
        self.count = if self.at == at { self.count + 1 } else { 1 };
        self.at = at;
    }
}

/// Tells new lines from those that come again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resume {
    point: Point,
    /// How often the last time has come again; `None` when everything is new.
    replayed: Option<u32>,
    gap: Option<(i64, i64)>,
}

impl Resume {
    /// After what was kept before.
    #[must_use]
    pub fn new(point: Point) -> Self {
        let mut resume = Self { point, ..Self::default() };
        resume.reopen();
        resume
    }

    /// What was kept.
    #[must_use]
    pub fn point(&self) -> Point {
        self.point
    }

    /// The time from which the Engine shall send, in nanoseconds; `None`: from the beginning. The
    /// two outputs are stamped apart, so a line may be a little older than the one before it.
    #[must_use]
    pub fn since(&self) -> Option<i64> {
        (self.point.count > 0).then_some(self.point.at.saturating_sub(DISORDER_NS_MAX))
    }

    /// The stream begins anew at [`Resume::since`].
    pub fn reopen(&mut self) {
        self.replayed = (self.point.count > 0).then_some(0);
    }

    /// Whether a line with this time is new; then it counts as kept.
    pub fn admit(&mut self, at: i64) -> bool {
        if let Some(replayed) = self.replayed {
            if at == self.point.at {
                let replayed = replayed + 1;
                self.replayed = (replayed < self.point.count).then_some(replayed);
                return false;
            }
            if at <= self.point.newest {
                return false;
            }
            if replayed == 0 {
                self.gap = Some((self.point.at, at));
            }
            self.replayed = None;
        }
        self.point.step(at);
        true
    }

    /// From when to when lines may be missing, when the last line that was kept did not come
    /// again: the Engine drops the oldest first.
    pub fn take_gap(&mut self) -> Option<(i64, i64)> {
        self.gap.take()
    }
}

/// The name of a container in our records: the first 32 bits of its id.
#[must_use]
pub fn source(container: &str) -> u32 {
    let head = container.get(..8).unwrap_or_default();
    u32::from_str_radix(head, 16).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Admits some times, then reopens with others; `new` is what was not there before.
    fn check(before: &[i64], after: &[i64], new: &[i64], gap: Option<(i64, i64)>) {
        let mut resume = Resume::default();
        assert!(before.iter().all(|&at| resume.admit(at)));
        resume.reopen();
        let admitted: Vec<i64> = after.iter().copied().filter(|&at| resume.admit(at)).collect();
        assert_eq!((admitted.as_slice(), resume.take_gap()), (new, gap), "{before:?} {after:?}");
    }

    #[test]
    fn what_came_before_is_not_kept_again() {
        check(&[], &[1, 2], &[1, 2], None);
        check(&[1, 2, 2], &[2, 2, 2, 3], &[2, 3], None);
        check(&[1, 2], &[2], &[], None);
        check(&[1, 2], &[1, 2, 3], &[3], None);
    }

    #[test]
    fn a_last_line_that_is_gone_is_a_gap() {
        check(&[1, 2], &[5, 6], &[5, 6], Some((2, 5)));
    }

    #[test]
    fn a_clock_that_stepped_back_doubles_nothing() {
        check(&[90, 100, 40, 41], &[90, 100, 41, 42, 43], &[42, 43], None);
        check(&[90, 100, 40, 41], &[41, 42, 100, 101], &[42, 100, 101], None);
    }
}
