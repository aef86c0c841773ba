//! Cuts a document into passages: along its headings, with code fences whole, each small enough
//! for the embedder. Pure.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use sha2::{Digest as _, Sha256};
use text_splitter::{ChunkConfig, ChunkSizer, MarkdownSplitter};

/// How long a passage becomes, in the embedder's tokens: MiniLM reads 256, and recall falls when
/// one vector has to stand for much more.
pub const TOKENS_MAX: usize = 220;

/// What title and headings may take of the embedder's input, in tokens.
const CONTEXT_TOKENS_MAX: usize = 64;

/// What is left for the passage at the least, whatever the model.
const TOKENS_MIN: usize = 16;

/// A heading is cut here, in characters: with an underline, any paragraph is one.
const HEADING_CHARS_MAX: usize = 200;

/// A path of headings is cut here, in bytes, as every passage below it has a copy.
const PATH_BYTES_MAX: usize = 1_024;

/// Headings that divide a document, at most; those after them are text like any other.
const SECTIONS_MAX: usize = 10_000;

/// Between the headings of a path.
const PATH_SEPARATOR: &str = " > ";

/// One passage of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// The headings it lies under, outermost first: `Guide > Install > Linux`.
    pub heading: String,
    /// The Markdown itself.
    pub text: String,
    /// What the embedder is given: title, headings, text.
    pub input: String,
}

impl Passage {
    /// Of the input: equal inputs have equal vectors.
    #[must_use]
    pub fn input_sha256(&self) -> [u8; 32] {
        Sha256::digest(self.input.as_bytes()).into()
    }

    /// Of the text, however its white space falls.
    #[must_use]
    pub fn text_hash(&self) -> i64 {
        let mut sha = Sha256::new();
        for word in self.text.split_whitespace() {
            sha.update(word.as_bytes());
            sha.update(b" ");
        }
        let digest: [u8; 32] = sha.finalize().into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        i64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

/// Cuts `markdown`. `count_tokens` is the embedder's, `tokens_max` the longest text that it reads,
/// special tokens included. There is at least one passage unless title and text are both blank.
#[must_use]
pub fn cut(
    title: &str,
    markdown: &str,
    tokens_max: usize,
    count_tokens: &(dyn Fn(&str) -> usize + Sync),
) -> Vec<Passage> {
    let mut passages = Vec::new();
    for section in sections(markdown) {
        let heading = section.heading;
        let context = context(title, &heading, count_tokens);
        let room = tokens_max.saturating_sub(count_tokens(&context));
        let capacity = room.clamp(TOKENS_MIN, TOKENS_MAX);
        let config = ChunkConfig::new(capacity).with_sizer(Tokens(count_tokens));
        let splitter = MarkdownSplitter::new(config);
        passages.extend(splitter.chunks(section.body).map(|text| Passage {
            heading: heading.clone(),
            text: text.to_owned(),
            input: [context.as_str(), text].concat(),
        }));
    }
    if passages.is_empty() {
        // Nothing but headings: the title, or the first heading, is what can be found.
        let text = [title, markdown].into_iter().map(str::trim).find(|text| !text.is_empty());
        let text = text.map(|text| clip(text, tokens_max.min(TOKENS_MAX), count_tokens));
        passages.extend(text.map(|text| Passage {
            heading: String::new(),
            text: text.clone(),
            input: text,
        }));
    }
    passages
}

/// A run of Markdown below one heading.
#[derive(Debug, PartialEq, Eq)]
struct Section<'a> {
    heading: String,
    body: &'a str,
}

/// The sections that have a body, in order.
fn sections(markdown: &str) -> Vec<Section<'_>> {
    let mut sections = Vec::new();
    let mut path: Vec<(HeadingLevel, String)> = Vec::new();
    let mut body_start = 0;
    let mut depth = 0_usize;
    let mut heading: Option<(HeadingLevel, String)> = None;
    for (event, range) in Parser::new_ext(markdown, Options::ENABLE_TABLES).into_offset_iter() {
        match event {
            // A heading inside a quotation or a list item does not divide the document.
            Event::Start(Tag::Heading { level, .. })
                if depth == 0 && sections.len() < SECTIONS_MAX =>
            {
                push(&mut sections, &path, &markdown[body_start..range.start]);
                heading = Some((level, String::new()));
                depth += 1;
            }
            Event::Start(_) => depth += 1,
            Event::End(end) => {
                depth -= 1;
                if let (TagEnd::Heading(_), 0) = (end, depth)
                    && let Some((level, text)) = heading.take()
                {
                    path.retain(|(outer, _)| *outer < level);
                    path.push((level, text.trim().to_owned()));
                    body_start = range.end;
                }
            }
            Event::Text(text) | Event::Code(text) => {
                heading.iter_mut().for_each(|(_, heading)| extend(heading, &text));
            }
            Event::SoftBreak | Event::HardBreak => {
                heading.iter_mut().for_each(|(_, heading)| extend(heading, " "));
            }
            _ => {}
        }
    }
    push(&mut sections, &path, &markdown[body_start..]);
    sections
}

fn push<'a>(sections: &mut Vec<Section<'a>>, path: &[(HeadingLevel, String)], body: &'a str) {
    if !body.trim().is_empty() {
        let path = path.iter().map(|(_, text)| text.as_str()).filter(|text| !text.is_empty());
        let mut heading = path.collect::<Vec<_>>().join(PATH_SEPARATOR);
        heading.truncate(heading.floor_char_boundary(PATH_BYTES_MAX));
        sections.push(Section { heading, body });
    }
}

/// Adds to a heading as much of `text` as it has room for.
fn extend(heading: &mut String, text: &str) {
    let room = HEADING_CHARS_MAX.saturating_sub(heading.chars().count());
    heading.extend(text.chars().take(room));
}

/// What an embedder is given for a passage that is stored already: the same as when it was cut.
#[must_use]
pub fn input(
    title: &str,
    heading: &str,
    text: &str,
    count_tokens: &dyn Fn(&str) -> usize,
) -> String {
    [context(title, heading, count_tokens).as_str(), text].concat()
}

/// What the embedder reads before a passage. Most documents repeat their title as first heading.
fn context(title: &str, heading: &str, count_tokens: &dyn Fn(&str) -> usize) -> String {
    let title = title.trim();
    let title = &title[..title.floor_char_boundary(PATH_BYTES_MAX)];
    let below = heading
        .strip_prefix(title)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(PATH_SEPARATOR));
    let lines = if below { [heading, ""] } else { [title, heading] };
    let path: Vec<&str> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    if path.is_empty() {
        return String::new();
    }
    clip(&path.join(PATH_SEPARATOR), CONTEXT_TOKENS_MAX, count_tokens) + "\n"
}

/// The longest start of `text`, in whole words, of at most `max` tokens. Passages fit the model that
/// they were cut for; another model may read less.
#[must_use]
pub fn clip(text: &str, max: usize, count_tokens: &dyn Fn(&str) -> usize) -> String {
    if count_tokens(text) <= max {
        return text.to_owned();
    }
    // No token is longer than this in any tokenizer we know; it bounds the search below.
    const TOKEN_BYTES_MAX: usize = 64;
    let bound = text.floor_char_boundary(max * TOKEN_BYTES_MAX);
    let mut ends: Vec<usize> = text[..bound].char_indices().map(|(at, _)| at).collect();
    ends.push(bound);
    let fitting = ends.partition_point(|&end| count_tokens(&text[..end]) <= max);
    let clipped = &text[..fitting.checked_sub(1).map_or(0, |last| ends[last])];
    let words = clipped.rfind(char::is_whitespace).filter(|&at| at > 0);
    words.map_or(clipped, |at| &clipped[..at]).to_owned()
}

/// The embedder's measure, in the splitter's terms.
struct Tokens<'a>(&'a (dyn Fn(&str) -> usize + Sync));

impl ChunkSizer for Tokens<'_> {
    fn size(&self, chunk: &str) -> usize {
        (self.0)(chunk)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A token per word and two special ones.
    fn words(text: &str) -> usize {
        text.split_whitespace().count() + 2
    }

    fn cut_words(markdown: &str) -> Vec<Passage> {
        cut("Guide", markdown, 256, &words)
    }

    fn shape(passages: &[Passage]) -> Vec<(&str, &str)> {
        passages.iter().map(|p| (p.heading.as_str(), p.text.as_str())).collect()
    }

    #[test]
    fn passages_follow_headings() {
        let markdown = "Intro.\n\n# Guide\n\n## Install\n\nRun it.\n\n### Linux\n\nUse `apt`.\n\n\
                        ## Use\n\nEnjoy.\n\n> # quoted\n> is no heading\n";
        let passages = cut_words(markdown);
        let expected = [
            ("", "Intro."),
            ("Guide > Install", "Run it."),
            ("Guide > Install > Linux", "Use `apt`."),
            ("Guide > Use", "Enjoy.\n\n> # quoted\n> is no heading"),
        ];
        assert_eq!(shape(&passages), expected);
        assert_eq!(passages[2].input, "Guide > Install > Linux\nUse `apt`.");
    }

    #[test]
    fn a_hash_in_a_code_fence_is_no_heading_and_the_fence_stays_whole() {
        let code = format!("```sh\n# not a heading\n{}```", "make all\n".repeat(50));
        let prose = "word ".repeat(150);
        let passages = cut_words(&format!("{prose}\n\n{code}\n\n{prose}"));
        assert!(passages.len() > 1, "too much for one passage");
        assert!(passages.iter().any(|p| p.text.contains(&code)), "{:#?}", shape(&passages));
    }

    #[test]
    fn nothing_but_headings_is_found_by_its_title() {
        assert_eq!(shape(&cut_words("# One\n## Two\n")), [("", "Guide")]);
        assert_eq!(shape(&cut("", "# One", 256, &words)), [("", "# One")]);
        assert_eq!(cut(" ", "\n", 256, &words), []);
    }

    #[test]
    fn a_document_of_headings_alone_is_cut_into_so_many_sections() {
        let markdown = "# a\nb\n".repeat(SECTIONS_MAX + 500);
        let passages = cut_words(&markdown);
        assert!(passages.len() < SECTIONS_MAX + 50, "{}", passages.len());
        assert!(passages.last().is_some_and(|last| last.text.contains("# a")));
    }

    #[test]
    fn white_space_does_not_make_another_text() {
        let passage = |text: &str| cut_words(text).remove(0);
        assert_eq!(passage("a  b\nc").text_hash(), passage("a b c").text_hash());
        assert_ne!(passage("ab c").text_hash(), passage("a bc").text_hash());
    }

    proptest! {
        #[test]
        fn every_passage_fits_and_every_word_is_in_one(
            blocks in proptest::collection::vec(
                prop_oneof![
                    "[a-z]{1,8}( [a-z]{1,8}){0,400}",
                    "#{1,4} [A-Z][a-z]{1,8}( [a-z]{1,8}){0,90}",
                    "(- [a-z]{1,8} [a-z]{1,8}\n){1,40}",
                ], 1..8),
            title in "([a-z]{1,8} ){0,100}", tokens_max in 128_usize..300,
        ) {
            let markdown = blocks.join("\n\n");
            let passages = cut(&title, &markdown, tokens_max, &words);
            for passage in &passages {
                prop_assert!(words(&passage.text) <= TOKENS_MAX);
                prop_assert!(words(&passage.input) <= tokens_max);
                prop_assert!(passage.input.ends_with(&passage.text));
            }
            let bodies = sections(&markdown);
            let expected: Vec<&str> =
                bodies.iter().flat_map(|s| s.body.split_whitespace()).collect();
            let found: Vec<&str> =
                passages.iter().flat_map(|p| p.text.split_whitespace()).collect();
            prop_assert!(expected.is_empty() || found == expected);
        }

        #[test]
        fn a_heading_of_any_length_leaves_passages_small(
            headings in proptest::collection::vec(("([a-zé]{1,9} ){1,300}", "[=-]"), 1..9),
            title in "[a-zé ]{0,3000}",
        ) {
            let setext = |(text, line): &(String, String)| format!("{text}\n{line}{line}{line}\n\n");
            let markdown: String = headings.iter().map(|it| setext(it) + "body\n\n").collect();
            let passages = cut(&title, &markdown, 256, &words);
            prop_assert_eq!(passages.len(), headings.len());
            for passage in passages {
                prop_assert!(passage.heading.len() <= PATH_BYTES_MAX);
                let context = passage.input.len() - passage.text.len();
                prop_assert!(context <= 2 * PATH_BYTES_MAX + 10, "{context}");
            }
        }

        #[test]
        fn any_text_can_be_cut(text in "\\PC{0,300}", title in "\\PC{0,20}") {
            let _ = cut(&title, &text, 256, &words);
        }
    }
}
