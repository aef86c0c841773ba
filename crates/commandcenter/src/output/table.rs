//! JSON objects as tables for people.

use chrono::{DateTime, Utc};
use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use serde_json::Value;

/// Which fields are shown under which titles: `(title, JSON pointer)`.
pub(crate) type Columns = &'static [(&'static str, &'static str)];

/// What stands for a value that is not there.
const NOTHING: &str = "-";

/// A table of texts.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    lines: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = plain();
    table.set_header(header);
    for line in lines {
        table.add_row(line.map(|text| clean(&text)));
    }
    finish(table)
}

/// One line an object.
pub(crate) fn rows(items: &[Value], columns: Columns) -> String {
    let mut table = plain();
    table.set_header(columns.iter().map(|(title, _)| *title));
    for item in items {
        table.add_row(columns.iter().map(|(_, pointer)| cell(item, pointer)));
    }
    for (column, (title, _)) in table.column_iter_mut().zip(columns) {
        // An id that is broken over two lines cannot be copied.
        if *title == "ID" {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    finish(table)
}

/// One line a field.
pub(crate) fn details(object: &Value, columns: Columns) -> String {
    let mut table = plain();
    for (title, pointer) in columns {
        table.add_row([(*title).to_owned(), cell(object, pointer)]);
    }
    finish(table)
}

/// Text from elsewhere that is safe to print: a title must not move the cursor, change colours or
/// turn the writing direction around.
pub(crate) fn clean(text: &str) -> String {
    let turns = |c| matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { ' ' } else { c }).collect()
}

/// A time for people, in UTC to the second.
fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    // Lines are wrapped for a terminal only: programs that filter lines want them whole.
    if let Some((_, columns)) = console::Term::stdout().size_checked() {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(columns);
    }
    table
}

fn finish(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn cell(object: &Value, pointer: &str) -> String {
    let text = plain_text(object.pointer(pointer).unwrap_or(&Value::Null));
    if text.is_empty() { NOTHING.to_owned() } else { text }
}

fn plain_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => format!("{float:.4}"),
            _ => number.to_string(),
        },
        Value::String(text) => match DateTime::parse_from_rfc3339(text) {
            Ok(instant) => time(instant.to_utc()),
            Err(_) => clean(text),
        },
        Value::Array(values) => values.iter().map(plain_text).collect::<Vec<_>>().join(", "),
        Value::Object(_) => clean(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_a_line_an_object() {
        let items = [
            json!({"id": 1, "name": "blog", "at": "2026-01-02T03:04:05.678Z", "tags": ["a", "b"]}),
            json!({"id": 22, "name": "", "paused": true}),
        ];
        let columns: Columns = &[
            ("ID", "/id"),
            ("NAME", "/name"),
            ("AT", "/at"),
            ("TAGS", "/tags"),
            ("PAUSED", "/paused"),
        ];
        assert_eq!(
            rows(&items, columns),
            "ID  NAME  AT                    TAGS  PAUSED\n\
             1   blog  2026-01-02 03:04:05Z  a, b  -\n\
             22  -     -                     -     yes"
        );
    }

    #[test]
    fn foreign_text_cannot_drive_the_terminal() {
        assert_eq!(clean("a\u{1b}[31mb\u{9b}c\u{202e}d\n"), "a [31mb c d ");
    }
}
