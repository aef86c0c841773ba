//! A piece of content that someone hands over: what it is, what it is called, and whether it is
//! taken.

use proto::{Failure, Reason};
use sha2::{Digest as _, Sha256};

use crate::charset;
use crate::document::{DOCUMENT_BYTES_MAX, Metadata, heading, title_of_path};
use crate::error::echo;
use crate::page::front_matter;

/// External ids are at most this long, in bytes.
pub const EXTERNAL_ID_BYTES_MAX: usize = 1_024;

/// What the content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// Markdown.
    Markdown,
    /// Text without markup.
    Plain,
    /// A web page.
    Html,
}

impl MediaType {
    /// The text form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Markdown => "text/markdown",
            Self::Plain => "text/plain",
            Self::Html => "text/html",
        }
    }

    /// Reads the text form; parameters such as `charset` may follow.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "text/markdown" | "text/x-markdown" => Some(Self::Markdown),
            "text/plain" => Some(Self::Plain),
            "text/html" | "application/xhtml+xml" => Some(Self::Html),
            _ => None,
        }
    }

    /// By a file's name; a name without an ending is Markdown, as most texts are.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let file = name.rsplit('/').next().unwrap_or(name);
        let Some((_, ending)) = file.rsplit_once('.') else { return Some(Self::Markdown) };
        match ending.to_ascii_lowercase().as_str() {
            "md" | "markdown" | "mdown" | "mkd" | "mdx" => Some(Self::Markdown),
            "txt" | "text" | "rst" | "adoc" | "org" | "log" => Some(Self::Plain),
            "html" | "htm" | "xhtml" => Some(Self::Html),
            _ => None,
        }
    }
}

/// What comes in.
#[derive(Debug, Clone, Default)]
pub struct Item<'a> {
    /// Stable within its source; empty: the content's hash.
    pub external_id: &'a str,
    /// As declared; empty: by the external id's ending.
    pub media_type: &'a str,
    /// The bytes.
    pub content: &'a [u8],
    /// What is said about them; a title that is empty is found in the content.
    pub metadata: Metadata,
}

/// What is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its key.
    pub key: String,
    /// Of everything that makes it another revision.
    pub hash: String,
    /// What it is.
    pub media_type: MediaType,
    /// UTF-8.
    pub text: String,
    /// Within the limits.
    pub metadata: Metadata,
}

/// Takes an item, or says why not.
///
/// # Errors
/// `TOO_LARGE`, `INVALID_INPUT` or `UNREADABLE`, each naming the item, the limit and the remedy.
pub fn accept(item: Item<'_>) -> Result<Accepted, Failure> {
    check_id(item.external_id)?;
    let name = match item.external_id {
        "" => "the item".to_owned(),
        id => echo(id),
    };
    let bytes = item.content.len();
    if bytes > DOCUMENT_BYTES_MAX {
        return Err(Failure::new(
            Reason::TooLarge,
            format!("{name} has {bytes} bytes; the limit is {DOCUMENT_BYTES_MAX}: split it"),
        )
        .fact("limit", DOCUMENT_BYTES_MAX));
    }
    let media_type = media_type(&item, &name)?;
    let decoded = charset::decode(item.content, Some(item.media_type));
    if decoded.text.contains('\0') {
        let message = format!(
            "{name} has a NUL character, which no text has: send text, or remove the character"
        );
        return Err(Failure::new(Reason::Unreadable, message));
    }
    if decoded.text.trim().is_empty() {
        let message = format!("{name} is empty: there is nothing to find in it");
        return Err(Failure::new(Reason::Unreadable, message));
    }
    let (metadata, text) = read(item.metadata, media_type, decoded.text);
    let mut metadata = metadata.bounded();
    // The title of a page is found when it is processed.
    if metadata.title.is_empty() && media_type != MediaType::Html {
        metadata.title = title_of_path(item.external_id);
    }
    let hash = hash(&metadata, media_type, &text);
    let key = if item.external_id.is_empty() { &hash } else { item.external_id };
    let key = key.to_owned();
    Ok(Accepted { key, hash, media_type, text, metadata })
}

/// Takes the head off a Markdown text and keeps what it says.
fn read(metadata: Metadata, media_type: MediaType, text: String) -> (Metadata, String) {
    if media_type != MediaType::Markdown {
        return (metadata, text);
    }
    let (head, body) = front_matter::split(&text);
    let mut metadata = metadata.or(head.into());
    if metadata.title.is_empty() {
        metadata.title = heading(body).unwrap_or_default();
    }
    // A text that is nothing but a head is kept whole: something is to be found.
    let body = if body.trim().is_empty() { text } else { body.to_owned() };
    (metadata, body)
}

fn check_id(id: &str) -> Result<(), Failure> {
    let problem = if id.len() > EXTERNAL_ID_BYTES_MAX {
        format!("has {} bytes; the limit is {EXTERNAL_ID_BYTES_MAX}", id.len())
    } else if id.chars().any(char::is_control) {
        "has control characters".to_owned()
    } else {
        return Ok(());
    };
    Err(Failure::invalid(
        "external_id",
        format!("external_id {problem}: give a shorter, plain one"),
    ))
}

fn media_type(item: &Item<'_>, name: &str) -> Result<MediaType, Failure> {
    let (found, what) = if item.media_type.is_empty() {
        (MediaType::of_name(item.external_id), "by its ending".to_owned())
    } else {
        (MediaType::parse(item.media_type), echo(item.media_type))
    };
    found.ok_or_else(|| {
        Failure::new(
            Reason::Unreadable,
            format!(
                "{name} is of a type that cannot be read ({what}): send text/markdown, text/plain \
                 or text/html"
            ),
        )
        .violation("media_type", "must be text/markdown, text/plain or text/html")
    })
}

fn hash(metadata: &Metadata, media_type: MediaType, text: &str) -> String {
    let metadata = serde_json::to_vec(metadata).expect("strings and times are always JSON");
    let mut hasher = Sha256::new();
    for part in [metadata.as_slice(), media_type.as_str().as_bytes(), text.as_bytes()] {
        // Lengths keep parts from running into each other.
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    format!("content-{}", hex::encode(hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item<'a>(external_id: &'a str, media_type: &'a str, content: &'a [u8]) -> Item<'a> {
        Item { external_id, media_type, content, metadata: Metadata::default() }
    }

    #[test]
    fn the_type_is_declared_or_told_by_the_ending() {
        let table = [
            ("a/guide.MD", "", Some(MediaType::Markdown)),
            ("notes", "", Some(MediaType::Markdown)),
            ("", "", Some(MediaType::Markdown)),
            ("log.txt", "", Some(MediaType::Plain)),
            ("page.html", "", Some(MediaType::Html)),
            ("page.html", "text/plain; charset=utf-8", Some(MediaType::Plain)),
            ("photo.png", "", None),
            ("a.md", "image/png", None),
        ];
        for (id, media_type, expected) in table {
            let accepted = accept(item(id, media_type, b"text"));
            assert_eq!(
                accepted.as_ref().ok().map(|it| it.media_type),
                expected,
                "{id} {media_type}"
            );
            if let Err(failure) = accepted {
                assert!(failure.message.contains("text/markdown"), "{failure}");
            }
        }
    }

    #[test]
    fn a_title_is_given_or_found() {
        let title = |it: Item<'_>| accept(it).expect("taken").metadata.title;
        assert_eq!(title(item("a/b.md", "", b"intro\n# Guide\n")), "Guide");
        assert_eq!(title(item("a/b.md", "", b"---\ntitle: Head\n---\n# Guide\n")), "Head");
        assert_eq!(title(item("a/b.md", "", b"no heading")), "b");
        assert_eq!(title(item("a/b.txt", "", b"# not Markdown")), "b");
        let metadata = Metadata { title: "Given".into(), ..Metadata::default() };
        assert_eq!(title(Item { metadata, ..item("a.md", "", b"# Guide") }), "Given");
    }

    #[test]
    fn the_same_content_has_the_same_hash_and_any_edit_another() {
        let hash = |it: Item<'_>| accept(it).expect("taken").hash;
        let first = hash(item("a.md", "", b"text"));
        assert_eq!(first, hash(item("a.md", "text/markdown", b"text")));
        assert_ne!(first, hash(item("a.md", "", b"text.")));
        assert_ne!(first, hash(item("a.md", "text/plain", b"text")));
        let unnamed = accept(item("", "", b"text")).expect("taken");
        assert_eq!(unnamed.key, unnamed.hash);
    }

    #[test]
    fn what_is_no_text_or_too_much_is_refused_with_its_limit() {
        let huge = vec![b'x'; DOCUMENT_BYTES_MAX + 1];
        let long = "x".repeat(EXTERNAL_ID_BYTES_MAX + 1);
        let table = [
            (item("a.md", "", &huge), Reason::TooLarge, "8388608"),
            (item("a.md", "", b"a\0b"), Reason::Unreadable, "NUL"),
            (item("a.md", "", b" \n"), Reason::Unreadable, "empty"),
            (item(&long, "", b"text"), Reason::InvalidInput, "1024"),
            (item("a\nb", "", b"text"), Reason::InvalidInput, "control"),
        ];
        for (item, reason, says) in table {
            let failure = accept(item).expect_err("refused");
            assert_eq!(failure.reason, reason);
            assert!(failure.message.contains(says), "{failure}");
        }
    }

    #[test]
    fn a_callers_text_is_not_repeated_as_a_whole() {
        let long = "x".repeat(50_000);
        let refused = accept(item("a.md", &long, b"text")).expect_err("no such type");
        assert!(refused.message.len() < 300, "{}", refused.message.len());
    }

    #[test]
    fn bytes_of_another_encoding_become_text() {
        let accepted = accept(item("a.md", "text/markdown; charset=latin1", b"caf\xE9"));
        assert_eq!(accepted.expect("taken").text, "café");
    }
}
