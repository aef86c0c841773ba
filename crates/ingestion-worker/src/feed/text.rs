//! Titles and other one-line texts, freed from the markup that feeds put into them.

use quick_xml::escape::{resolve_html5_entity, unescape_with};

/// Tags that show, wherever a text has one, that it is HTML and not a text about HTML.
const TAGS: [&str; 34] = [
    "a",
    "abbr",
    "acronym",
    "b",
    "big",
    "blockquote",
    "br",
    "center",
    "cite",
    "code",
    "dd",
    "del",
    "div",
    "dl",
    "dt",
    "em",
    "font",
    "h1",
    "h2",
    "h3",
    "hr",
    "i",
    "img",
    "ins",
    "li",
    "ol",
    "p",
    "pre",
    "q",
    "small",
    "span",
    "strong",
    "table",
    "ul",
];

/// Whether a text that is not labelled as HTML is HTML nevertheless: it closes a known tag, has
/// an empty one, or an entity.
pub(super) fn looks_like_html(text: &str) -> bool {
    let has_entity = text.split('&').skip(1).any(|rest| {
        rest.split_once(';').is_some_and(|(name, _)| {
            resolve_html5_entity(name).is_some() || name.starts_with('#') && name.len() < 8
        })
    });
    has_entity
        || text.split('<').skip(1).any(|rest| {
            let (closes, rest) = match rest.strip_prefix('/') {
                Some(rest) => (true, rest),
                None => (false, rest),
            };
            let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
            let name = name.to_ascii_lowercase();
            let known = TAGS.contains(&name.as_str());
            known && rest.contains('>') && (closes || matches!(name.as_str(), "br" | "hr" | "img"))
        })
}

/// The words of a piece of HTML, on one line.
#[must_use]
pub(crate) fn words_of_html(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        let tag = &rest[at + 1..];
        let is_tag = tag.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!'));
        if !is_tag {
            text.push('<');
            rest = tag;
            continue;
        }
        // Without an end here no tag after it has one either: the search is not repeated.
        let Some(end) = tag.find('>') else {
            rest = &rest[at..];
            break;
        };
        rest = &tag[end + 1..];
    }
    text.push_str(rest);
    one_line(&decode_entities(&text))
}

/// Resolves character references; what is not one stays as it is.
fn decode_entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split('&');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let reference = part.split_once(';').filter(|(name, _)| name.len() <= 32);
        let resolved = reference.and_then(|(name, rest)| {
            let text = format!("&{name};");
            let resolved = unescape_with(&text, resolve_html5_entity).ok()?.into_owned();
            Some((resolved, rest))
        });
        match resolved {
            Some((character, rest)) => {
                out.push_str(&character);
                out.push_str(rest);
            }
            None => {
                out.push('&');
                out.push_str(part);
            }
        }
    }
    out
}

/// Collapses white space.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_html_from_text_about_html() {
        for html in ["a <b>bold</b> word", "line<br/>line", "caf&eacute;", "it&#8217;s"] {
            assert!(looks_like_html(html), "{html}");
        }
        for text in ["History of the <blink> tag", "a < b", "AT&T; Q&A", "<!DOCTYPE", "Vec<T>"] {
            assert!(!looks_like_html(text), "{text}");
        }
    }

    #[test]
    fn keeps_the_words_only() {
        assert_eq!(words_of_html("<p>a &lt; b &amp;\n <i>c</i></p>"), "a < b & c");
        assert_eq!(words_of_html("1 < 2 & 3 &nosuch; &#x41;"), "1 < 2 & 3 &nosuch; A");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text: String) {
            looks_like_html(&text);
            let _ = words_of_html(&text);
        }
    }
}
