//! The head of a Markdown file, in which site generators keep its title, authors, tags and dates.

use chrono::{DateTime, Utc};

use crate::feed::date;

/// A head longer than this is text, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What a file says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrontMatter {
    /// `title`.
    pub title: Option<String>,
    /// `author` or `authors`.
    pub authors: Vec<String>,
    /// `tags`, `categories` and `keywords`, each once.
    pub tags: Vec<String>,
    /// `date` or `published`.
    pub published: Option<DateTime<Utc>>,
    /// `updated` or `lastmod`.
    pub updated: Option<DateTime<Utc>>,
    /// `lang` or `language`.
    pub language: Option<String>,
}

/// Splits a file into its head and its body. A file without a head is all body; so is one whose
/// head does not end.
#[must_use]
pub fn split(text: &str) -> (FrontMatter, &str) {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    for (mark, separator) in [("---", ':'), ("+++", '=')] {
        let Some(rest) = text.strip_prefix(mark) else { continue };
        let Some(rest) = rest.trim_start_matches([' ', '\r']).strip_prefix('\n') else { continue };
        if let Some((head, body)) = cut(rest, mark) {
            return (read(head, separator), body);
        }
    }
    (FrontMatter::default(), text)
}

/// The lines before the closing mark, and the text after it.
fn cut<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_end() == mark {
            return Some((&text[..at], &text[at + line.len()..]));
        }
        at += line.len();
        if at > HEAD_BYTES_MAX {
            return None;
        }
    }
    None
}

/// Reads `key: value`, `key: [a, b]` and lists of `- a` below a key: what heads consist of. Deeper
/// structure is passed over.
fn read(head: &str, separator: char) -> FrontMatter {
    let mut found = FrontMatter::default();
    let mut key = String::new();
    for line in head.lines() {
        let is_top = !line.starts_with([' ', '\t', '-', '#', '[']);
        if let (true, Some((name, value))) = (is_top, line.split_once(separator)) {
            key = name.trim().trim_matches('"').to_ascii_lowercase();
            values(value).for_each(|value| found.take(&key, value));
        } else if let Some(item) = line.trim_start().strip_prefix("- ") {
            // A list of people may give each a name and more.
            let item = item.trim_start().strip_prefix("name:").unwrap_or(item);
            values(item).for_each(|value| found.take(&key, value));
        } else if is_top {
            key.clear();
        }
    }
    found
}

/// One value, or those of a list in brackets, without quotes.
fn values(text: &str) -> impl Iterator<Item = &str> {
    let text = text.trim();
    let list = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let separator = if list.is_some() { ',' } else { '\n' };
    let unquote = |value: &str| value.trim().trim_matches(['"', '\'']).trim().is_empty();
    list.unwrap_or(text)
        .split(separator)
        .filter(move |value| !unquote(value))
        .map(|value| value.trim().trim_matches(['"', '\'']).trim())
}

impl FrontMatter {
    fn take(&mut self, key: &str, value: &str) {
        let text = || Some(value.to_owned());
        match key {
            "title" => self.title = self.title.take().or_else(text),
            "author" | "authors" => self.authors.push(value.to_owned()),
            "tag" | "tags" | "categories" | "category" | "keywords" => {
                for tag in value.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
                    if !self.tags.iter().any(|held| held == tag) {
                        self.tags.push(tag.to_owned());
                    }
                }
            }
            "date" | "published" | "pubdate" | "published_at" => {
                self.published = self.published.or_else(|| date::parse(value));
            }
            "updated" | "lastmod" | "last_modified" | "updated_at" => {
                self.updated = self.updated.or_else(|| date::parse(value));
            }
            "lang" | "language" | "locale" => self.language = self.language.take().or_else(text),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_yaml_and_toml_heads() {
        let yaml = "---\ntitle: \"A: guide\"\ntags: [one, 'two']\nauthors:\n  - name: Ann\n    url: x\n\
                    \x20 - Bob\ndate: 2003-12-31\nnested:\n  title: no\n---\n# Body\n";
        let (head, body) = split(yaml);
        assert_eq!(head.title.as_deref(), Some("A: guide"));
        assert_eq!(head.tags, ["one", "two"]);
        assert_eq!(head.authors, ["Ann", "Bob"]);
        let day = head.published.map(|date| date.to_rfc3339());
        assert_eq!(day.as_deref(), Some("2003-12-31T00:00:00+00:00"));
        assert_eq!(body, "# Body\n");

        let (head, body) = split("+++\r\ntitle = \"T\"\r\ncategories = [\"x\"]\r\n+++\r\ntext");
        assert_eq!(
            (head.title.as_deref(), &head.tags[..], body),
            (Some("T"), &["x".into()][..], "text")
        );
    }

    #[test]
    fn a_rule_is_no_head() {
        for text in ["---\nno end", "text\n---\n", "--- \t", "", "----\ntitle: x\n----\n"] {
            assert_eq!(split(text), (FrontMatter::default(), text));
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text: String) {
            let _ = split(&text);
            let _ = split(&format!("---\n{text}\n---\n"));
        }
    }
}
