//! The text that names a place in the logs of several services: `db:45,web:123`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use proto::Failure;

/// The longest text that is read, in bytes: more than 50 services need.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// The last number that was seen, by service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cursor(pub BTreeMap<Arc<str>, u64>);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (service, sequence)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{service}:{sequence}")?;
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let malformed = || {
            let message = format!(
                "{:?} is no cursor: send one that came with a record, or none",
                &text[..text.floor_char_boundary(80)]
            );
            Failure::invalid("after", message)
        };
        if text.len() > TEXT_BYTES_MAX {
            return Err(malformed());
        }
        let place = |part: &str| {
            let (service, sequence) = part.split_once(':')?;
            Some((service.into(), sequence.parse().ok()?))
        };
        let places = text.split(',').map(|part| place(part).ok_or_else(malformed));
        Ok(Self(places.collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        for text in ["web:1", "db:45,web:18446744073709551615"] {
            let cursor: Cursor = text.parse().expect("a cursor");
            assert_eq!(cursor.to_string(), text);
        }
        for text in ["", "web", "web:", "web:-1", "web:1,", "web:1;db:2"] {
            let failure = text.parse::<Cursor>().expect_err("no cursor");
            assert_eq!(failure.violations[0].field, "after", "{text}");
        }
        assert!("x:1,".repeat(TEXT_BYTES_MAX).parse::<Cursor>().is_err());
    }
}
