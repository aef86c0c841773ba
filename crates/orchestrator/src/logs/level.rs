//! How bad a line is, as far as its text says.

/// How bad; `None` on a line stands for "it does not say".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Level {
    Trace = 1,
    Debug,
    Info,
    Warn,
    Error,
}

/// How far into a line its level is looked for, in bytes.
const LOOKED_AT_BYTES: usize = 256;

/// The longest word that names a level.
const WORD_BYTES_MAX: usize = 9;

impl Level {
    /// The text form on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// From the text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error]
            .into_iter()
            .find(|level| level.as_str() == text)
    }

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error]
            .into_iter()
            .find(|level| *level as u8 == byte)
    }

    /// The first word that names a level, where levels stand: a word in capitals, or one that
    /// follows `level` (JSON, logfmt) or stands in brackets, whatever its case.
    #[must_use]
    pub fn of(line: &[u8]) -> Option<Self> {
        let line = &line[..line.len().min(LOOKED_AT_BYTES)];
        let mut after_key = false;
        let mut place = 0;
        while place < line.len() {
            let rest = &line[place..];
            let length = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
            if length == 0 {
                place += 1;
                continue;
            }
            let word = &rest[..length];
            let bracketed = place > 0 && line[place - 1] == b'[' && rest.get(length) == Some(&b']');
            let capitals = word.iter().all(u8::is_ascii_uppercase);
            if (capitals || bracketed || after_key)
                && let Some(level) = named(word)
            {
                return Some(level);
            }
            after_key = is_key(word);
            place += length;
        }
        None
    }
}

fn is_key(word: &[u8]) -> bool {
    [b"level".as_slice(), b"lvl", b"severity", b"loglevel"]
        .iter()
        .any(|key| word.eq_ignore_ascii_case(key))
}

fn named(word: &[u8]) -> Option<Level> {
    if !(3..=WORD_BYTES_MAX).contains(&word.len()) {
        return None;
    }
    let mut lower = [0; WORD_BYTES_MAX];
    let lower = &mut lower[..word.len()];
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    Some(match &*lower {
        b"trace" => Level::Trace,
        b"debug" | b"dbg" => Level::Debug,
        b"info" | b"inf" | b"notice" | b"log" => Level::Info,
        b"warn" | b"warning" | b"wrn" => Level::Warn,
        b"error" | b"err" | b"fatal" | b"panic" | b"critical" | b"crit" | b"alert" | b"emerg" => {
            Level::Error
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_found_where_programs_write_them() {
        let table: [(&str, Option<Level>); 14] = [
            ("2026-11-22 20:00:00 UTC [1] LOG:  ready", Some(Level::Info)),
            ("2026-11-22 20:00:00 UTC [1] FATAL:  no role", Some(Level::Error)),
            (r#"{"time":"x","level":"warn","msg":"an ERROR"}"#, Some(Level::Warn)),
            (r#"{"LEVEL": "Error"}"#, Some(Level::Error)),
            ("time=x level=debug msg=y", Some(Level::Debug)),
            ("2026/11/22 [error] 7#7: *1 open() failed", Some(Level::Error)),
            ("  INFO hyper::proto: read", Some(Level::Info)),
            ("WARNING: no password", Some(Level::Warn)),
            ("[2026-11-22] app.TRACE: x", Some(Level::Trace)),
            ("an error in lower case is prose", None),
            ("INFORM the LOGGER", None),
            ("level the ground", None),
            ("12345", None),
            ("", None),
        ];
        for (line, expected) in table {
            assert_eq!(Level::of(line.as_bytes()), expected, "{line}");
        }
        let far = format!("{} ERROR", "x ".repeat(LOOKED_AT_BYTES));
        assert_eq!(Level::of(far.as_bytes()), None);
    }
}
