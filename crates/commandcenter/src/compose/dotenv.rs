//! Files of variables, `.env` and `env_file`. Pure.

use std::collections::BTreeSet;

use super::{
    interpolate::{Variables, expand},
    yaml::Wrong,
};

/// A variable of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    /// `None`: the one of the shell.
    pub(super) value: Option<String>,
    pub(super) line: usize,
    /// Names in the value that stand for nothing.
    pub(super) unset: BTreeSet<String>,
}

/// All values of a file after expansion, in bytes.
const VALUES_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Reads a file of variables. A value may use `known` ones and those of the lines above it.
pub(super) fn parse(text: &str, known: &Variables) -> Result<Vec<Variable>, Wrong> {
    let mut known = known.clone();
    let mut variables = Vec::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut line, mut bytes) = (1, 0);
    while !rest.is_empty() {
        let (read, after) = statement(rest).map_err(|message| Wrong { line, message })?;
        if let Some((name, raw)) = read {
            let mut unset = BTreeSet::new();
            let value = raw.map(|raw| raw.expand(&known, &mut unset)).transpose();
            let value = value.map_err(|why| Wrong { line, message: format!("{name}: {why}") })?;
            bytes += value.as_ref().map_or(0, String::len);
            if bytes > VALUES_BYTES_MAX {
                let message = format!("variables make more than {VALUES_BYTES_MAX} bytes");
                return Err(Wrong { line, message });
            }
            if let Some(value) = &value {
                // The shell's value wins wherever it is used.
                known.entry(name.to_owned()).or_insert_with(|| value.clone());
            }
            variables.push(Variable { name: name.to_owned(), value, line, unset });
        }
        line += rest[..rest.len() - after.len()].matches('\n').count();
        rest = after;
    }
    Ok(variables)
}

/// Reads a file in which every value is as it stands there, from its `=` to the end of the line.
pub(super) fn raw(text: &str) -> Result<Vec<Variable>, Wrong> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim_start()));
    let mut variables = Vec::new();
    for (line, text) in lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#')) {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text.trim_end(), None),
        };
        let name = check_name(name).map_err(|message| Wrong { line, message })?.to_owned();
        variables.push(Variable { name, value, line, unset: BTreeSet::new() });
    }
    Ok(variables)
}

/// A value as it stands in the file.
enum Raw<'a> {
    /// In single quotes: as it is, but for `\'`.
    Literal(&'a str),
    /// In double quotes: with escapes and variables.
    Quoted(&'a str),
    /// With variables.
    Plain(&'a str),
}

impl Raw<'_> {
    fn expand(&self, known: &Variables, unset: &mut BTreeSet<String>) -> Result<String, String> {
        match self {
            Self::Literal(text) => Ok(text.replace("\\'", "'")),
            Self::Quoted(text) => expand(&unescape(text), known, unset),
            Self::Plain(text) => expand(text, known, unset),
        }
    }
}

/// What stands between a name and its value.
const ASSIGNMENTS: [char; 2] = ['=', ':'];

type Statement<'a> = (Option<(&'a str, Option<Raw<'a>>)>, &'a str);

/// One statement, and what follows it.
fn statement(text: &str) -> Result<Statement<'_>, String> {
    let (line, after) = text.split_once('\n').unwrap_or((text, ""));
    let trimmed = line.trim();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return Ok((None, after));
    }
    let statement = trimmed.strip_prefix("export").unwrap_or(trimmed);
    let is_exported = statement.starts_with(char::is_whitespace);
    let statement = if is_exported { statement.trim_start() } else { trimmed };
    // `NAME: VALUE` as well, as in YAML.
    let Some((name, _)) = statement.split_once(ASSIGNMENTS) else {
        return Ok((Some((check_name(statement)?, None)), after));
    };
    let name = check_name(name.trim_end())?;
    // A quoted value may go over several lines.
    let value =
        text[text.find(ASSIGNMENTS).unwrap_or_default() + 1..].trim_start_matches([' ', '\t']);
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let end =
                closing(&value[1..], quote).ok_or_else(|| format!("{name}: no closing {quote}"))?;
            let (inside, rest) = (&value[1..=end], &value[end + 2..]);
            let (tail, after) = rest.split_once('\n').unwrap_or((rest, ""));
            if !tail.trim().is_empty() && !tail.trim_start().starts_with('#') {
                return Err(format!("{name}: something follows the closing {quote}"));
            }
            let raw = if quote == '"' { Raw::Quoted(inside) } else { Raw::Literal(inside) };
            Ok((Some((name, Some(raw))), after))
        }
        _ => {
            let value = value.split('\n').next().unwrap_or_default();
            let value = value.split(" #").next().unwrap_or_default().trim();
            Ok((Some((name, Some(Raw::Plain(value)))), after))
        }
    }
}

fn check_name(name: &str) -> Result<&str, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.is_empty() || !name.chars().all(is_name) {
        return Err("must be NAME=VALUE, a comment with # or empty".to_owned());
    }
    Ok(name)
}

/// Where the quote closes.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (place, c) in text.char_indices() {
        if c == quote && !escaped {
            return Some(place);
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => plain.push('\n'),
                Some('r') => plain.push('\r'),
                Some('t') => plain.push('\t'),
                Some('$') => plain.push_str("$$"),
                Some(other) => plain.push(other),
                None => plain.push('\\'),
            },
            (c, false) => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_a_file() {
        let text = "# a comment\n\nexport A=1\nB = two words  # why\nC='$A #'\nD=\"x\\n${A}\\$\"\n\
                    E=\nF\nG=\"over\nlines\"\nH=$B\n";
        let known = Variables::from([("B".to_owned(), "shell".to_owned())]);
        let variables = parse(text, &known).expect("variables");
        let found: Vec<_> =
            variables.iter().map(|it| (it.name.as_str(), it.value.as_deref(), it.line)).collect();
        assert_eq!(
            found,
            [
                ("A", Some("1"), 3),
                ("B", Some("two words"), 4),
                ("C", Some("$A #"), 5),
                ("D", Some("x\n1$"), 6),
                ("E", Some(""), 7),
                ("F", None, 8),
                ("G", Some("over\nlines"), 9),
                ("H", Some("shell"), 11),
            ]
        );
    }

    #[test]
    fn published_forms() {
        let text = "A='Let\\'s go!'\nB: 2\nexport\tC=3\nD=a:b=c\nexported=4\nE='\\d'\n";
        let variables = parse(text, &Variables::new()).expect("variables");
        let found: Vec<_> =
            variables.iter().map(|it| (it.name.as_str(), it.value.as_deref())).collect();
        assert_eq!(
            found,
            [
                ("A", Some("Let's go!")),
                ("B", Some("2")),
                ("C", Some("3")),
                ("D", Some("a:b=c")),
                ("exported", Some("4")),
                ("E", Some("\\d")),
            ]
        );
    }

    #[test]
    fn raw_values_are_as_they_stand_there() {
        let text = "# a comment\nA=pa$word #1\n\n  B='x'\nC\nD=a=b";
        let variables = raw(text).expect("variables");
        let found: Vec<_> =
            variables.iter().map(|it| (it.name.as_str(), it.value.as_deref(), it.line)).collect();
        assert_eq!(
            found,
            [
                ("A", Some("pa$word #1"), 2),
                ("B", Some("'x'"), 4),
                ("C", None, 5),
                ("D", Some("a=b"), 6),
            ]
        );
        assert_eq!(raw("A=1\nno name=2\n").expect_err("a blank").line, 2);
    }

    #[test]
    fn variables_cannot_make_a_file_large() {
        let text = format!("A={}\n{}", "x".repeat(500_000), "B=$A\n".repeat(45_000));
        let wrong = parse(&text, &Variables::new()).expect_err("it is large");
        assert!(wrong.line == 9 && wrong.message.contains("variables make more"), "{wrong:?}");
    }

    #[test]
    fn what_is_wrong_has_a_line() {
        for (text, line, message) in [
            ("A=1\nnot a variable\n", 2, "NAME=VALUE"),
            ("A=\"x\nB=1\n", 1, "no closing"),
            ("A='x' y\n", 1, "follows"),
            ("\nA=${B:?needed}\n", 2, "A: the variable B must be set: needed"),
        ] {
            let wrong = parse(text, &Variables::new()).expect_err(text);
            assert!(wrong.line == line && wrong.message.contains(message), "{text}: {wrong:?}");
        }
    }
}
