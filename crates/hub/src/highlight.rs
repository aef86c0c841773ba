//! Cuts a passage into plain and marked pieces.

use crate::search::Span;

/// A piece of a passage.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    pub(crate) text: &'a str,
    pub(crate) marked: bool,
}

/// The pieces of `text` in order; spans that overlap, run backwards or split a character are
/// passed over, because they only decorate.
pub(crate) fn pieces<'a>(text: &'a str, spans: &[Span]) -> Vec<Piece<'a>> {
    let mut spans: Vec<(usize, usize)> =
        spans.iter().map(|span| (span.start as usize, span.end as usize)).collect();
    spans.sort_unstable();
    let mut pieces = Vec::with_capacity(spans.len() * 2 + 1);
    let mut at = 0;
    for (start, end) in spans {
        if start < at || start >= end {
            continue;
        }
        let (Some(plain), Some(marked)) = (text.get(at..start), text.get(start..end)) else {
            continue;
        };
        if !plain.is_empty() {
            pieces.push(Piece { text: plain, marked: false });
        }
        pieces.push(Piece { text: marked, marked: true });
        at = end;
    }
    if at < text.len() {
        pieces.push(Piece { text: &text[at..], marked: false });
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn marks_the_words() {
        let spans = [Span { start: 4, end: 7 }];
        let marked: Vec<_> =
            pieces("the cat sat", &spans).into_iter().map(|p| (p.text, p.marked)).collect();
        assert_eq!(marked, [("the ", false), ("cat", true), (" sat", false)]);
    }

    proptest! {
        #[test]
        fn no_span_loses_or_doubles_a_byte(
            text in "\\PC{0,40}",
            spans in prop::collection::vec((0_u32..60, 0_u32..60), 0..8),
        ) {
            let spans: Vec<Span> =
                spans.into_iter().map(|(start, end)| Span { start, end }).collect();
            let joined: String = pieces(&text, &spans).iter().map(|piece| piece.text).collect();
            prop_assert_eq!(joined, text);
        }
    }
}
