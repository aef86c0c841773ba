//! What makes two errors the same cause: their text without what differs from case to case.

use std::sync::LazyLock;

use regex::Regex;

/// A signature is cut here, in characters.
const CHARS_MAX: usize = 200;

/// The rules in order: each replaces what a later one would only replace in part.
static RULES: LazyLock<[(Regex, &str); 6]> = LazyLock::new(|| {
    let rule = |pattern| Regex::new(pattern).expect("the pattern is a constant");
    [
        (rule(r#"[a-z][a-z0-9+.-]*://[^\s"'<>]+"#), "<url>"),
        (rule(r#""[^"]*"|'[^']*'|`[^`]*`"#), "<text>"),
        (rule(r"(?i)\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"), "<id>"),
        (
            rule(r"(?i)\b(?:0x[0-9a-f]+|[0-9a-f]*[0-9][0-9a-f]{7,}|[0-9a-f]{7,}[0-9][0-9a-f]*)\b"),
            "<hex>",
        ),
        (rule(r"[0-9]+(?:[.:][0-9]+)*"), "<n>"),
        (rule(r"\s+"), " "),
    ]
});

/// The signature of an error's text.
#[must_use]
pub fn of(error: &str) -> String {
    let mut text = error.to_owned();
    for (pattern, replacement) in RULES.iter() {
        text = pattern.replace_all(&text, *replacement).into_owned();
    }
    text.trim().chars().take(CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_differs_from_case_to_case_is_replaced() {
        let check = |error, expect| assert_eq!(of(error), expect);
        check("GET https://a.example/x?y=1 answered 503", "GET <url> answered <n>");
        check("no document 0190a6b2-7c1e-7000-8000-00000000abcd", "no document <id>");
        check("digest 9f86d081884c7d659a2feaa0c55ad015 differs", "digest <hex> differs");
        check("the field \"title\" is 12.5 MB at 10:31:07", "the field <text> is <n> MB at <n>");
        check("connection to 10.0.0.7:5432 refused", "connection to <n> refused");
        check("a  facade\n decade", "a facade decade");
    }

    proptest! {
        #[test]
        fn the_same_cause_has_the_same_signature(a in 0u64.., b in 0u64.., id in any::<u128>()) {
            let error = |n: u64, id: u128| {
                format!("item {n} of feed 'f{n}': {} is gone", uuid::Uuid::from_u128(id))
            };
            prop_assert_eq!(of(&error(a, id)), of(&error(b, !id)));
        }

        #[test]
        fn a_signature_is_its_own_and_short(error in ".{0,500}") {
            let once = of(&error);
            prop_assert!(once.chars().count() <= CHARS_MAX);
            prop_assert!(!once.contains(|c: char| c.is_ascii_digit()));
        }
    }
}
