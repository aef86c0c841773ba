//! What stands in a service's timeline, and its form on disk.
//!
//! A record is its length, a checksum, its time, the container it came from, a tag, a level and a
//! payload. Sequence numbers are not written: a record's number is its place.

use super::frame::Output;
use super::level::Level;
use super::line::LINE_BYTES_MAX;
use super::resume::Point;

/// Length and checksum.
const HEAD_BYTES: usize = 8;

/// Time, container, tag, level.
const FIXED_BYTES: usize = 14;

/// The longest body, in bytes: a line and what is fixed. Checkpoints and marks are shorter.
const BODY_BYTES_MAX: usize = LINE_BYTES_MAX + FIXED_BYTES;

/// The longest text of a mark or gap, in bytes.
const TEXT_BYTES_MAX: usize = 4 * 1024;

/// One entry of a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Grows within the service.
    pub sequence: u64,
    /// Nanoseconds since 1970.
    pub at: i64,
    /// What it is.
    pub kind: Kind,
}

/// What a record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Something that the process wrote.
    Line {
        /// Where.
        output: Output,
        /// As far as the text says.
        level: Option<Level>,
        /// Cut at [`LINE_BYTES_MAX`].
        truncated: bool,
        /// Exactly what was written.
        text: Vec<u8>,
    },
    /// Something that happened to the container.
    Mark(Mark),
    /// Something is missing here.
    Gap(Gap),
}

/// Something that happened to a service's container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// What.
    pub event: Event,
    /// For a person.
    pub text: String,
}

/// What a mark tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Event {
    Started = 1,
    Exited,
    OutOfMemory,
    Recreated,
    Removed,
}

impl Event {
    /// The text form on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Exited => "exited",
            Self::OutOfMemory => "out_of_memory",
            Self::Recreated => "recreated",
            Self::Removed => "removed",
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Started, Self::Exited, Self::OutOfMemory, Self::Recreated, Self::Removed]
            .into_iter()
            .find(|event| *event as u8 == byte)
    }
}

/// Lines that are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Of the last record before it.
    pub from: i64,
    /// Of the first record after it.
    pub to: i64,
    /// 0: not known.
    pub lines: u64,
    /// For a person.
    pub reason: String,
}

/// A record before it has a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    pub at: i64,
    /// See [`super::resume::source`]; 0 for what comes from no container.
    pub source: u32,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    Record(Kind),
    /// The resume points when a segment began; has no number and is never shown.
    Checkpoint(Vec<(u32, Point)>),
}

const CHECKPOINT: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const MARK: u8 = 3;
const GAP: u8 = 4;
const TRUNCATED: u8 = 0x80;

/// Appends a record's form on disk.
pub(super) fn encode(draft: &Draft, to: &mut Vec<u8>) {
    let start = to.len();
    to.extend([0; HEAD_BYTES]);
    to.extend(draft.at.to_le_bytes());
    to.extend(draft.source.to_le_bytes());
    match &draft.body {
        Body::Checkpoint(points) => checkpoint(points, to),
        Body::Record(Kind::Line { output, level, truncated, text }) => {
            let tag = if *output == Output::Stdout { STDOUT } else { STDERR };
            let flag = if *truncated { TRUNCATED } else { 0 };
            to.extend([tag | flag, level.map_or(0, |level| level as u8)]);
            to.extend_from_slice(&text[..text.len().min(LINE_BYTES_MAX)]);
        }
        Body::Record(Kind::Mark(Mark { event, text })) => {
            to.extend([MARK, *event as u8]);
            to.extend_from_slice(clip(text));
        }
        Body::Record(Kind::Gap(Gap { from, to: until, lines, reason })) => {
            to.extend([GAP, 0]);
            to.extend(from.to_le_bytes());
            to.extend(until.to_le_bytes());
            to.extend(lines.to_le_bytes());
            to.extend_from_slice(clip(reason));
        }
    }
    let length = (to.len() - start - HEAD_BYTES) as u32;
    let sum = crc32fast::hash(&to[start + HEAD_BYTES..]);
    to[start..start + 4].copy_from_slice(&length.to_le_bytes());
    to[start + 4..start + HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
}

fn checkpoint(points: &[(u32, Point)], to: &mut Vec<u8>) {
    to.extend([CHECKPOINT, 0]);
    for (source, point) in points {
        to.extend(source.to_le_bytes());
        to.extend(point.at.to_le_bytes());
        to.extend(point.count.to_le_bytes());
        to.extend(point.newest.to_le_bytes());
        to.extend(point.marked.to_le_bytes());
    }
}

fn clip(text: &str) -> &[u8] {
    &text.as_bytes()[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

/// A record where it lies, before anything is copied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'a> {
    pub at: i64,
    pub source: u32,
    tag: u8,
    level: u8,
    payload: &'a [u8],
    /// With its head.
    pub bytes: usize,
}

/// The record at the start of `bytes`; `None` when there is no whole and sound one.
pub(super) fn decode(bytes: &[u8]) -> Option<Raw<'_>> {
    let raw = skim(bytes)?;
    let sum = u32::from_le_bytes(*bytes[4..].first_chunk()?);
    (crc32fast::hash(&bytes[HEAD_BYTES..raw.bytes]) == sum).then_some(raw)
}

/// The same without its checksum, where the block's own has proved it.
pub(super) fn skim(bytes: &[u8]) -> Option<Raw<'_>> {
    let length = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    if !(FIXED_BYTES..=BODY_BYTES_MAX).contains(&length) {
        return None;
    }
    let body = bytes.get(HEAD_BYTES..HEAD_BYTES + length)?;
    let at = i64::from_le_bytes(*body.first_chunk()?);
    let source = u32::from_le_bytes(*body[8..].first_chunk()?);
    let (tag, level) = (body[12], body[13]);
    let payload = &body[FIXED_BYTES..];
    Some(Raw { at, source, tag, level, payload, bytes: HEAD_BYTES + length })
}

impl<'a> Raw<'a> {
    /// Whether it has a number.
    pub(super) fn is_numbered(&self) -> bool {
        self.tag != CHECKPOINT
    }

    /// The text of a line.
    pub(super) fn line(&self) -> Option<&'a [u8]> {
        matches!(self.tag & !TRUNCATED, STDOUT | STDERR).then_some(self.payload)
    }

    /// Of a line; 0 when it does not say.
    pub(super) fn level(&self) -> u8 {
        self.level
    }

    /// Whether it tells what happened to a container.
    pub(super) fn is_mark(&self) -> bool {
        self.tag == MARK
    }

    /// Whether it is a gap, which no filter hides.
    pub(super) fn is_gap(&self) -> bool {
        self.tag == GAP
    }

    /// What it is; `None` for a checkpoint or a tag of a later version.
    pub(super) fn kind(&self) -> Option<Kind> {
        let text = || String::from_utf8_lossy(self.payload).into_owned();
        Some(match self.tag & !TRUNCATED {
            tag @ (STDOUT | STDERR) => Kind::Line {
                output: if tag == STDOUT { Output::Stdout } else { Output::Stderr },
                level: Level::from_byte(self.level),
                truncated: self.tag & TRUNCATED != 0,
                text: self.payload.to_vec(),
            },
            MARK => Kind::Mark(Mark { event: Event::from_byte(self.level)?, text: text() }),
            GAP => {
                let from = i64::from_le_bytes(*self.payload.first_chunk()?);
                let to = i64::from_le_bytes(*self.payload.get(8..)?.first_chunk()?);
                let lines = u64::from_le_bytes(*self.payload.get(16..)?.first_chunk()?);
                let reason = String::from_utf8_lossy(self.payload.get(24..)?).into_owned();
                Kind::Gap(Gap { from, to, lines, reason })
            }
            _ => return None,
        })
    }

    /// The resume points of a checkpoint.
    pub(super) fn checkpoint(&self) -> Option<Vec<(u32, Point)>> {
        const POINT_BYTES: usize = 32;
        if self.tag != CHECKPOINT {
            return None;
        }
        self.payload
            .chunks_exact(POINT_BYTES)
            .map(|bytes| {
                let source = u32::from_le_bytes(*bytes.first_chunk()?);
                let at = i64::from_le_bytes(*bytes[4..].first_chunk()?);
                let count = u32::from_le_bytes(*bytes[12..].first_chunk()?);
                let newest = i64::from_le_bytes(*bytes[16..].first_chunk()?);
                let marked = i64::from_le_bytes(*bytes[24..].first_chunk()?);
                Some((source, Point { at, count, newest, marked }))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kinds() -> impl Strategy<Value = Body> {
        let texts = || prop::collection::vec(any::<u8>(), 0..80);
        let line = (any::<bool>(), 0_u8..6, any::<bool>(), texts()).prop_map(
            |(out, level, truncated, text)| Kind::Line {
                output: if out { Output::Stdout } else { Output::Stderr },
                level: Level::from_byte(level),
                truncated,
                text,
            },
        );
        let mark = ("[a-z ü]{0,20}", 1_u8..6).prop_map(|(text, event)| {
            Kind::Mark(Mark { event: Event::from_byte(event).expect("in range"), text })
        });
        let gap = (any::<i64>(), any::<i64>(), any::<u64>(), "[a-z ]{0,20}")
            .prop_map(|(from, to, lines, reason)| Kind::Gap(Gap { from, to, lines, reason }));
        let point = (any::<u32>(), any::<i64>(), any::<u32>(), any::<i64>(), any::<i64>())
            .prop_map(|(source, at, count, newest, marked)| {
                (source, Point { at, count, newest, marked })
            });
        prop_oneof![
            4 => line.prop_map(Body::Record),
            1 => mark.prop_map(Body::Record),
            1 => gap.prop_map(Body::Record),
            1 => prop::collection::vec(point, 0..4).prop_map(Body::Checkpoint),
        ]
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written_or_not_at_all(
            at in any::<i64>(), source in any::<u32>(), body in kinds(),
            cut in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>(),
        ) {
            let mut bytes = Vec::new();
            encode(&Draft { at, source, body: body.clone() }, &mut bytes);
            let raw = decode(&bytes).expect("it is whole");
            prop_assert_eq!((raw.at, raw.source, raw.bytes), (at, source, bytes.len()));
            match body {
                Body::Record(kind) => prop_assert_eq!(raw.kind(), Some(kind)),
                Body::Checkpoint(points) => prop_assert_eq!(raw.checkpoint(), Some(points)),
            }
            prop_assert!(decode(&bytes[..cut.index(bytes.len())]).is_none());
            let flip = flip.index(bytes.len());
            bytes[flip] ^= 1;
            prop_assert!(decode(&bytes).is_none());
        }
    }
}
