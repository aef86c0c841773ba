//! Lines of logs as HTML: colours of terminals become classes, everything else that a terminal
//! would obey is left out. Pure. The script of the log page does the same.

use std::fmt::Write as _;

use crate::view::Markup;

const ESCAPE: char = '\u{1b}';

/// How the text looks from here on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Look {
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    /// One of the 16 colours.
    fore: Option<u8>,
    back: Option<u8>,
}

/// A line as HTML, with every place of `needle` marked; an empty needle marks nothing.
pub(crate) fn render(line: &str, needle: &str) -> Markup {
    // What a progress bar has overwritten was not there to stay.
    let line = line.trim_end_matches('\r');
    let line = line.rsplit('\r').next().unwrap_or(line);
    let mut out = String::with_capacity(line.len() + 32);
    let mut look = Look::default();
    let mut rest = line;
    while let Some(at) = rest.find(ESCAPE) {
        part(&mut out, look, &rest[..at], needle);
        let (codes, after) = sequence(&rest[at + ESCAPE.len_utf8()..]);
        look = codes.map_or(look, |codes| look.with(codes));
        rest = after;
    }
    part(&mut out, look, rest, needle);
    Markup(out)
}

/// What follows an escape: the codes of a look, if it is one, and the text behind the sequence.
fn sequence(text: &str) -> (Option<&str>, &str) {
    if let Some(body) = text.strip_prefix('[') {
        return match body.find(|c: char| ('@'..='~').contains(&c)) {
            Some(end) if body[end..].starts_with('m') => (Some(&body[..end]), &body[end + 1..]),
            Some(end) => (None, &body[end + 1..]),
            None => (None, ""),
        };
    }
    // A title or a link ends with a bell or another escape.
    if let Some(body) = text.strip_prefix(']') {
        let end = body.find(['\u{7}', ESCAPE]).unwrap_or(body.len());
        let after = &body[end..];
        let after = after.strip_prefix('\u{7}').or_else(|| after.strip_prefix("\u{1b}\\"));
        return (None, after.unwrap_or(&body[end..]));
    }
    let mut rest = text.chars();
    rest.next();
    (None, rest.as_str())
}

impl Look {
    fn with(mut self, codes: &str) -> Self {
        let mut codes = codes.split(';').map(|code| match code {
            "" => Some(0),
            code => code.parse::<u8>().ok(),
        });
        while let Some(code) = codes.next() {
            match code.unwrap_or(u8::MAX) {
                0 => self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underline = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underline = false,
                code @ 30..=37 => self.fore = Some(code - 30),
                code @ 40..=47 => self.back = Some(code - 40),
                code @ 90..=97 => self.fore = Some(code - 90 + 8),
                code @ 100..=107 => self.back = Some(code - 100 + 8),
                39 => self.fore = None,
                49 => self.back = None,
                code @ (38 | 48) => {
                    let colour = extended(&mut codes);
                    if code == 38 { self.fore = colour } else { self.back = colour }
                }
                _ => {}
            }
        }
        self
    }

    fn classes(self) -> String {
        let mut classes = String::new();
        for (set, name) in [
            (self.bold, "bold "),
            (self.dim, "dim "),
            (self.italic, "italic "),
            (self.underline, "underline "),
        ] {
            if set {
                classes.push_str(name);
            }
        }
        for (colour, name) in [(self.fore, "fg"), (self.back, "bg")] {
            if let Some(colour) = colour {
                // Writing to a string does not fail.
                let _ = write!(classes, "{name}-{} ", colour % 8);
            }
        }
        classes
    }
}

/// A colour beyond the eight: of a palette of 256 the first 16 are shown, others are not.
fn extended(codes: &mut impl Iterator<Item = Option<u8>>) -> Option<u8> {
    match codes.next().flatten() {
        Some(5) => codes.next().flatten().filter(|colour| *colour < 16),
        Some(2) => codes.by_ref().take(3).last().and(None),
        _ => None,
    }
}

/// A part of one look, with its marks.
fn part(out: &mut String, look: Look, text: &str, needle: &str) {
    if text.is_empty() {
        return;
    }
    let classes = look.classes();
    if !classes.is_empty() {
        let _ = write!(out, "<span class=\"{}\">", classes.trim_end());
    }
    let mut pieces = if needle.is_empty() { None } else { Some(text.split(needle)) };
    match &mut pieces {
        None => escape(out, text),
        Some(pieces) => {
            for (place, piece) in pieces.enumerate() {
                if place > 0 {
                    out.push_str("<mark>");
                    escape(out, needle);
                    out.push_str("</mark>");
                }
                escape(out, piece);
            }
        }
    }
    if !classes.is_empty() {
        out.push_str("</span>");
    }
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push('\t'),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn colours_become_classes_and_all_else_is_left_out() {
        for (line, html) in [
            ("plain <b>", "plain &lt;b&gt;"),
            ("\u{1b}[1;31mred\u{1b}[0m x", "<span class=\"bold fg-1\">red</span> x"),
            ("\u{1b}[92mgreen\u{1b}[39m!", "<span class=\"fg-2\">green</span>!"),
            ("\u{1b}[38;5;4;1mb\u{1b}[m.", "<span class=\"bold fg-4\">b</span>."),
            ("\u{1b}[38;2;1;2;3;4mu", "<span class=\"underline\">u</span>"),
            ("\u{1b}[2K\u{1b}]0;title\u{7}ok\u{1b}(B\u{1b}", "okB"),
            ("10 %\r50 %\r100 %\r", "100 %"),
            ("\u{1b}[", ""),
        ] {
            assert_eq!(render(line, "").0, html, "{line:?}");
        }
        assert_eq!(render("a<a", "<").0, "a<mark>&lt;</mark>a");
    }

    proptest! {
        #[test]
        fn no_line_carries_markup(line in "[\u{1b}\\[\\]<>&\"a-z0-9;m\u{7}]{0,80}", needle in "[<a&]{0,2}") {
            let html = render(&line, &needle).0;
            let tame = html.replace("</span>", "").replace("<mark>", "").replace("</mark>", "");
            for tag in tame.split('<').skip(1) {
                prop_assert!(tag.starts_with("span class=\""), "{html}");
            }
        }
    }
}
