//! Joins the pieces of lines that the Engine cut at 16 KiB, and drops those that it sends twice.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashSet, VecDeque};
use std::hash::{Hash as _, Hasher as _};

use super::frame::{Frame, Output};

/// The longest line that is kept; the rest of it is dropped and the line marked, in bytes.
pub const LINE_BYTES_MAX: usize = 1024 * 1024;

/// A line as the process wrote it, without its newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it was written.
    pub output: Output,
    /// Nanoseconds since 1970, by the Engine's clock.
    pub at: i64,
    /// Exactly what was written.
    pub text: Vec<u8>,
    /// Cut at [`LINE_BYTES_MAX`].
    pub truncated: bool,
}

/// Lines that wait behind an unfinished one, at most, in bytes.
const HELD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How much later than its first piece the rest of a line may come, by the Engine's clock.
const HELD_NS_MAX: i64 = 10_000_000_000;

/// Pieces that are remembered: when its file rotates, the Engine sends again what it had sent of
/// the new file, which is more the slower the machine is. At most 7 MiB, for a container that has
/// written so many.
const RECENT_MAX: usize = 262_144;

/// Joins pieces and hands lines out in the order in which they began, over both outputs: what was
/// handed out is then a prefix of the Engine's log, and its last line says where to go on.
///
/// The pieces of a line share one time, so a piece with another time begins another line: the one
/// before had no newline, because its process ended.
#[derive(Debug, Default)]
pub struct Joiner {
    queue: VecDeque<Line>,
    /// How many lines were handed out; a line's number is its place in the queue and this.
    taken: u64,
    /// The numbers of the lines that are not finished, by output.
    open: [Option<u64>; 2],
    /// The times of lines that were cut and whose rest is dropped, by output.
    cut: [Option<i64>; 2],
    held_bytes: usize,
    recent: Recent,
    newest: Option<i64>,
}

/// The newest pieces, each by what tells it from all others: time, output, length and checksum.
#[derive(Debug, Default)]
struct Recent {
    order: VecDeque<u64>,
    known: HashSet<u64>,
}

impl Recent {
    fn remember(&mut self, identity: u64) {
        if self.order.len() == RECENT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(identity);
        self.known.insert(identity);
    }
}

impl Joiner {
    /// Takes a piece.
    pub fn push(&mut self, frame: &Frame) {
        let output = frame.output as usize;
        let (piece, ended) = match frame.bytes.strip_suffix(b"\n") {
            Some(piece) => (piece, true),
            None => (&frame.bytes[..], false),
        };
        if self.cut[output] == Some(frame.at) {
            self.cut[output] = (!ended).then_some(frame.at);
            return;
        }
        self.cut[output] = None;
        let open = self.open[output].filter(|&it| self.queue[self.place(it)].at == frame.at);
        if self.is_repeated(frame, open.is_some()) {
            self.cut[output] = (!ended).then_some(frame.at);
            return;
        }
        let number = open.unwrap_or_else(|| self.begin(frame));
        self.open[output] = (!ended).then_some(number);
        self.held_bytes += piece.len();
        let place = self.place(number);
        let line = &mut self.queue[place];
        let room = LINE_BYTES_MAX - line.text.len();
        line.text.extend_from_slice(&piece[..piece.len().min(room)]);
        line.truncated |= piece.len() > room;
        self.bound(frame.at);
    }

    /// The next line, once it and all that began before it are finished.
    pub fn pop(&mut self) -> Option<Line> {
        if self.open.contains(&Some(self.taken)) {
            return None;
        }
        let line = self.queue.pop_front()?;
        self.taken += 1;
        if self.queue.is_empty() {
            self.held_bytes = 0;
        }
        Some(line)
    }

    /// The processes have ended: nothing can follow an unfinished line.
    pub fn finish(&mut self) {
        self.open = [None; 2];
    }

    /// Whether a piece was sent before. Pieces of one line may be alike, so one that goes on with
    /// an unfinished line is taken for new. Time that goes on costs no search.
    fn is_repeated(&mut self, frame: &Frame, goes_on: bool) -> bool {
        let sum = crc32fast::hash(&frame.bytes);
        let mut identity = DefaultHasher::new();
        (frame.at, frame.output as usize, frame.bytes.len(), sum).hash(&mut identity);
        let identity = identity.finish();
        let later = self.newest.is_none_or(|newest| frame.at > newest);
        if !later && !goes_on && self.recent.known.contains(&identity) {
            return true;
        }
        self.newest = self.newest.max(Some(frame.at));
        self.recent.remember(identity);
        false
    }

    fn place(&self, number: u64) -> usize {
        (number - self.taken) as usize
    }

    fn begin(&mut self, frame: &Frame) -> u64 {
        let (output, at) = (frame.output, frame.at);
        self.queue.push_back(Line { output, at, text: Vec::new(), truncated: false });
        self.taken + self.queue.len() as u64 - 1
    }

    /// Cuts an unfinished line that holds up the others for too long.
    fn bound(&mut self, now: i64) {
        let Some(front) = self.queue.front_mut() else { return };
        let long = self.held_bytes > HELD_BYTES_MAX || now.saturating_sub(front.at) > HELD_NS_MAX;
        let output = front.output as usize;
        if long && self.open[output] == Some(self.taken) {
            front.truncated = true;
            self.cut[output] = Some(front.at);
            self.open[output] = None;
        }
    }
}

#[cfg(test)]
mod tests;
