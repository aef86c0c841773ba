//! Which words of a passage a person searched for. Pure.

use std::ops::Range;

/// A shorter stem matches only whole words: "go" is not in "government".
const PREFIX_CHARS_MIN: usize = 4;

/// A word that goes on for longer after the stem is another word.
const SUFFIX_CHARS_MAX: usize = 5;

/// How many spans are given, at most.
const SPANS_MAX: usize = 200;

/// Byte ranges of `text` whose words match a word of the query: the same word, or one with the
/// same stem. `lexemes` are the query's, as Postgres stems them.
#[must_use]
pub fn spans(text: &str, lexemes: &[String]) -> Vec<Range<usize>> {
    let stems: Vec<&str> = lexemes.iter().map(|lexeme| stem(lexeme)).collect();
    words(text)
        .filter(|range| {
            let word = text[range.clone()].to_lowercase();
            lexemes.contains(&word) || stems.iter().any(|stem| continues(&word, stem))
        })
        .take(SPANS_MAX)
        .collect()
}

/// The stemmer writes y as i ("boundari") and keeps a final e of some words.
fn stem(lexeme: &str) -> &str {
    lexeme.strip_suffix(['i', 'e']).unwrap_or(lexeme)
}

fn continues(word: &str, stem: &str) -> bool {
    let whole = stem.chars().count();
    let rest = word.strip_prefix(stem).map(|rest| rest.chars().count());
    rest.is_some_and(|rest| {
        rest <= SUFFIX_CHARS_MAX && (whole >= PREFIX_CHARS_MIN || is_inflection(word, stem))
    })
}

/// Short words match in their commonest forms only.
fn is_inflection(word: &str, stem: &str) -> bool {
    stem.chars().count() > 1
        && ["", "s", "es", "e", "y", "ed", "ing"].contains(&&word[stem.len()..])
}

fn words(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text[at..].find(char::is_alphanumeric)?;
        let length = text[start..].find(|c: char| !c.is_alphanumeric());
        at = length.map_or(text.len(), |length| start + length);
        Some(start..at)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, lexemes: &[&str], expect: &[&str]) {
        let lexemes: Vec<String> = lexemes.iter().map(|&lexeme| lexeme.to_owned()).collect();
        let found: Vec<&str> = spans(text, &lexemes).into_iter().map(|span| &text[span]).collect();
        assert_eq!(found, expect, "{text:?} {lexemes:?}");
    }

    #[test]
    fn words_match_by_stem_and_not_by_chance() {
        check(
            "Boundary layers, a boundary-layer.",
            &["boundari", "layer"],
            &["Boundary", "layers", "boundary", "layer"],
        );
        check("The government lets it go; going on", &["go"], &["go", "going"]);
        check(
            "Restarting containers restarts a container",
            &["restart", "contain"],
            &["Restarting", "containers", "restarts", "container"],
        );
        check("Über naïve Straße", &["über", "straße"], &["Über", "Straße"]);
        check("contaminated", &["contain"], &[]);
        check("use of a user's uses", &["use"], &["use", "uses"]);
    }

    proptest! {
        #[test]
        fn spans_are_words_in_order(text in "\\PC{0,80}", lexemes in proptest::collection::vec("\\PC{0,6}", 0..4)) {
            let found = spans(&text, &lexemes);
            prop_assert!(found.is_sorted_by(|a, b| a.end <= b.start));
            for span in found {
                prop_assert!(text[span].chars().all(char::is_alphanumeric));
            }
        }
    }
}
