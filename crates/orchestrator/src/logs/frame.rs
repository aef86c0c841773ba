//! The Engine's log protocol: an eight-byte header, then a time and a piece of a line.
//!
//! A line longer than 16 KiB comes in several frames, each with the time of the first.

use bytes::{Buf as _, Bytes, BytesMut};

/// Which of a process's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Output {
    Stdout,
    Stderr,
}

impl Output {
    /// The text form on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The stream cannot be read any further: it is opened anew from where the store ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The container has a terminal, or the daemon speaks another protocol.
    #[error("the log stream has the frame type {0}, which no log without a terminal has")]
    Type(u8),
    /// A frame that no Engine sends.
    #[error("the log stream announces a frame of {0} bytes; the limit is {FRAME_BYTES_MAX}")]
    Length(usize),
    /// Each frame begins with a time when we ask for it.
    #[error("a frame of the log stream does not begin with a time")]
    Time,
}

/// Far above what an Engine sends (16 KiB and a time), in bytes.
const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The type of the output, three zeros, and the length of the rest.
const HEADER_BYTES: usize = 8;

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Where it was written.
    pub output: Output,
    /// Nanoseconds since 1970, by the Engine's clock.
    pub at: i64,
    /// Ends with a newline when the line ends.
    pub bytes: Bytes,
}

/// Cuts a stream of bytes into frames, wherever the transport cut it.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// Takes what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether nothing is left of a frame that has not come as a whole.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next frame, once it is there as a whole.
    ///
    /// # Errors
    /// When the stream makes no sense.
    pub fn take(&mut self) -> Result<Option<Frame>, Error> {
        let Some(header) = self.buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let output = match header[0] {
            0 | 1 => Output::Stdout,
            2 => Output::Stderr,
            other => return Err(Error::Type(other)),
        };
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(Error::Length(length));
        }
        if self.buffer.len() < HEADER_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(HEADER_BYTES);
        let mut bytes = self.buffer.split_to(length).freeze();
        let end = bytes.iter().position(|&byte| byte == b' ').ok_or(Error::Time)?;
        let at = time(&bytes[..end]).ok_or(Error::Time)?;
        bytes.advance(end + 1);
        Ok(Some(Frame { output, at, bytes }))
    }
}

/// Reads `2026-11-22T20:00:00.123456789Z`; chrono's general reader would cost more than the rest.
fn time(text: &[u8]) -> Option<i64> {
    let (whole, rest) = text.split_at_checked(19)?;
    let shape = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if rest.last() != Some(&b'Z') || shape.iter().any(|&(at, mark)| whole[at] != mark) {
        return std::str::from_utf8(text).ok().and_then(slow_time);
    }
    let number = |range: std::ops::Range<usize>| digits(&whole[range]);
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let nanos = match &rest[..rest.len() - 1] {
        [] => 0,
        [b'.', fraction @ ..] if (1..=9).contains(&fraction.len()) => {
            digits(fraction)? * 10_i64.pow(9 - fraction.len() as u32)
        }
        _ => return None,
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

fn slow_time(text: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_nanos_opt()
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0_i64, |sum, &byte| {
        byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0'))
    })
}

/// Days since 1970-01-01 in the Gregorian calendar; years begin in March, so that the leap day is
/// the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_chrono_reads_them() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2000-02-29T23:59:59.999999999Z",
            "2024-02-29T00:00:00.000000001Z",
            "2026-11-22T20:00:00.123456789Z",
            "2026-11-22T20:00:00.5Z",
            "2026-11-22T20:00:00.123456789+01:00",
            "2100-03-01T12:00:00.000000000Z",
        ] {
            assert_eq!(time(text.as_bytes()), slow_time(text), "{text}");
        }
        for text in ["", "now", "2026-11-22T20:00Z", "2026-11-22T20:00:0xZ"] {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_no_engine_sends_is_refused() {
        let table: [(&[u8], Error); 3] = [
            (b"hello world\n", Error::Type(b'h')),
            (&[1, 0, 0, 0, 255, 255, 255, 255], Error::Length(u32::MAX as usize)),
            (&[1, 0, 0, 0, 0, 0, 0, 3, b'a', b'b', b'c'], Error::Time),
        ];
        for (bytes, expected) in table {
            let mut decoder = Decoder::default();
            decoder.push(bytes);
            assert_eq!(decoder.take(), Err(expected));
        }
    }
}
