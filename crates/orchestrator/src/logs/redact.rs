//! Blacks out known secrets before a line is kept.

use std::fmt;

use aho_corasick::{AhoCorasick, MatchKind};

/// What stands where a secret stood.
const MASK: &str = "[redacted]";

/// Shorter values would black out half of every line, in bytes.
const SECRET_BYTES_MIN: usize = 6;

/// Knows the secrets of a project.
#[derive(Clone, Default)]
pub struct Redactor {
    values: Option<AhoCorasick>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

impl Redactor {
    /// One that knows these values. A value of several lines is known by each of its lines, since
    /// that is how it would be written.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut values: Vec<&[u8]> = secrets
            .into_iter()
            .flat_map(|secret| secret.split(|byte| *byte == b'\n'))
            .map(<[u8]>::trim_ascii)
            .filter(|value| value.len() >= SECRET_BYTES_MIN)
            .collect();
        values.sort_unstable();
        values.dedup();
        if values.is_empty() {
            return Self::default();
        }
        // Only too many values can be refused; then nothing may pass.
        let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(values);
        Self { values: Some(built.expect("a project has at most some hundred secrets of 64 KiB")) }
    }

    /// A text without secrets.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        self.redact(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Blacks out every secret in a line.
    pub fn redact(&self, text: &mut Vec<u8>) {
        if let Some(values) = &self.values
            && values.is_match(&*text)
        {
            let masks = vec![MASK; values.patterns_len()];
            *text = values.replace_all_bytes(text, &masks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_known_secret_passes() {
        let secrets = ["hunter2hunter2", "hunter2hunter2-long", "abc", "line one\nline two\n"];
        let redactor = Redactor::new(secrets.map(str::as_bytes));
        let table = [
            ("login hunter2hunter2!", "login [redacted]!"),
            ("hunter2hunter2-long", "[redacted]"),
            ("abc stays", "abc stays"),
            ("line one and line two", "[redacted] and [redacted]"),
            ("nothing here", "nothing here"),
        ];
        for (text, expected) in table {
            let mut bytes = text.as_bytes().to_vec();
            redactor.redact(&mut bytes);
            assert_eq!(String::from_utf8_lossy(&bytes), expected);
        }
        assert_eq!(format!("{redactor:?}"), "Redactor");
    }
}
