//! Reads the comment with which each of feedparser's test files states what is in it.

use chrono::{DateTime, Utc};
use ingestion_worker::charset;

/// What a file states about itself.
#[derive(Default)]
pub(super) struct Stated {
    pub(super) content_location: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) expectations: Vec<Expectation>,
}

/// `entries[0]['tags'][1]['term'] == 'x'`: the names, the inner index, the value.
#[derive(Debug)]
pub(super) struct Expectation {
    pub(super) path: Vec<String>,
    pub(super) index: usize,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Text(String),
    Time(Vec<i64>),
}

impl Value {
    pub(super) fn is_date(&self, date: DateTime<Utc>) -> bool {
        match self {
            Value::Time(parts) => {
                let own = date.format("%Y %m %d %H %M %S").to_string();
                let own: Vec<i64> = own.split(' ').filter_map(|part| part.parse().ok()).collect();
                parts.len() >= 6 && own == parts[..6]
            }
            Value::Text(text) => {
                let stated = DateTime::parse_from_rfc3339(text)
                    .or_else(|_| DateTime::parse_from_rfc2822(text));
                stated.is_ok_and(|stated| stated.to_utc() == date)
            }
        }
    }
}

pub(super) fn read(bytes: &[u8]) -> Stated {
    let text = charset::decode(bytes, None).text;
    let mut stated = Stated::default();
    for line in text.lines().take(20) {
        let line = line.trim();
        let header = line.strip_prefix("Header:").and_then(|rest| rest.split_once(':'));
        match header.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim())) {
            Some((name, value)) if name == "content-location" => {
                stated.content_location = Some(value.to_owned());
            }
            Some((name, value)) if name == "content-type" => {
                stated.content_type = Some(value.to_owned());
            }
            _ => {}
        }
        if let Some(expect) = line.strip_prefix("Expect:") {
            let rows = expect.split("entries[0]").skip(1);
            stated.expectations.extend(rows.filter_map(expectation));
        }
    }
    stated
}

fn expectation(text: &str) -> Option<Expectation> {
    let (mut rest, mut path, mut index) = (text, Vec::new(), 0);
    while let Some(inner) = rest.strip_prefix('[') {
        let end = inner.find(']')?;
        match inner[..end].parse() {
            Ok(number) => index = number,
            Err(_) => path.push(inner[..end].trim_matches(['\'', '"']).to_owned()),
        }
        rest = &inner[end + 1..];
    }
    let literal = rest.trim_start().strip_prefix("==")?.trim_start();
    let value = match literal.strip_prefix('(') {
        Some(tuple) => {
            let numbers = tuple.split_once(')')?.0.split(',');
            Value::Time(numbers.map(|part| part.trim().parse().ok()).collect::<Option<_>>()?)
        }
        None => Value::Text(python_string(literal.strip_prefix('u').unwrap_or(literal))?),
    };
    Some(Expectation { path, index, value })
}

fn python_string(literal: &str) -> Option<String> {
    let mut chars = literal.chars();
    let quote = chars.next().filter(|c| matches!(c, '\'' | '"'))?;
    let mut text = String::new();
    loop {
        match chars.next()? {
            c if c == quote => return Some(text),
            '\\' => {
                let digits = match chars.next()? {
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    'n' => {
                        text.push('\n');
                        continue;
                    }
                    't' => {
                        text.push('\t');
                        continue;
                    }
                    other => {
                        text.push(other);
                        continue;
                    }
                };
                let code: String = chars.by_ref().take(digits).collect();
                text.push(char::from_u32(u32::from_str_radix(&code, 16).ok()?)?);
            }
            c => text.push(c),
        }
    }
}
