//! A record of a log as a person reads it. Pure.

use serde_json::Value;

use crate::output::clean;

/// Where it goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// To standard output.
    Text(String),
    /// To standard error.
    Note(String),
}

/// A line as it was written, or what else happened. `named`: with its service. On a terminal,
/// what was written cannot drive it.
pub(super) fn of(record: &Value, named: bool, terminal: bool) -> Line {
    let text = |field: &str| record[field].as_str().unwrap_or_default();
    let count = |field: &str| record[field].as_u64().unwrap_or_default();
    let service = text("service");
    match text("kind") {
        "line" => {
            let line = match terminal {
                true => clean(&console::strip_ansi_codes(text("text")).replace('\t', "    ")),
                false => text("text").to_owned(),
            };
            Line::Text(if named { format!("{service} | {line}") } else { line })
        }
        "mark" => {
            let told = [text("event").replace('_', " "), text("text").to_owned()];
            let told: Vec<&str> =
                told.iter().map(String::as_str).filter(|it| !it.is_empty()).collect();
            Line::Note(format!("-- {service}: {} ({})", told.join(": "), text("at")))
        }
        "gap" => {
            let lines = match count("lines") {
                0 => "lines are missing".to_owned(),
                1 => "1 line is missing".to_owned(),
                lines => format!("{lines} lines are missing"),
            };
            let (from, to, reason) = (text("from"), text("to"), text("reason"));
            Line::Note(format!("-- {service}: {lines} from {from} to {to}: {reason}"))
        }
        "lag" => Line::Note(format!("-- {} records behind, going on", count("records"))),
        other => Line::Note(format!("-- {service}: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_text_and_everything_else_is_a_note() {
        let line =
            json!({"service": "web", "kind": "line", "text": "\u{1b}[31mred\u{1b}[0m\tx\u{7}"});
        let text = |text: &str| Line::Text(text.to_owned());
        assert_eq!(of(&line, false, false), text("\u{1b}[31mred\u{1b}[0m\tx\u{7}"));
        assert_eq!(of(&line, true, true), text("web | red    x "));
        let note = |record: &Value| match of(record, false, false) {
            Line::Note(text) => text,
            Line::Text(text) => panic!("{text}"),
        };
        let mark = json!({"service": "web", "kind": "mark", "event": "out_of_memory", "text": "", "at": "T"});
        assert_eq!(note(&mark), "-- web: out of memory (T)");
        let gap = json!({"service": "web", "kind": "gap", "from": "A", "to": "B", "lines": 7, "reason": "rotated"});
        assert_eq!(note(&gap), "-- web: 7 lines are missing from A to B: rotated");
        assert_eq!(note(&json!({"kind": "lag", "records": 9})), "-- 9 records behind, going on");
    }
}
