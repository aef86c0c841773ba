//! Turns the bytes of a fetched page or feed into text, whatever they claim to be encoded in.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// How far into a body a declaration is looked for, in bytes. Browsers stop at 1,024, but pages
/// exist whose scripts push the declaration further down.
const DECLARATION_BYTES_MAX: usize = 64 * 1024;

/// How many bytes the statistical detector reads: more costs time and changes no verdict.
const DETECTOR_BYTES_MAX: usize = 256 * 1024;

/// Text, and how it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The text, without a byte order mark.
    pub text: String,
    /// The encoding that was used, by its WHATWG name (or `UTF-32`).
    pub encoding: &'static str,
    /// Whether bytes that the encoding does not know were replaced by U+FFFD.
    pub lossy: bool,
}

/// Decodes `bytes`. Never fails: what no encoding explains is replaced and flagged.
///
/// A byte order mark wins. Then what is valid UTF-8 is UTF-8, whatever its labels say, since other
/// encodings almost never look like it by chance. Then come the labels, the server's first
/// (RFC 7303 section 3), and last the statistical detector.
#[must_use]
pub fn decode(bytes: &[u8], content_type: Option<&str>) -> Decoded {
    if let Some(decoded) = utf32(bytes) {
        return decoded;
    }
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return decode_as(encoding, bytes);
    }
    if let Some(encoding) = utf16_without_mark(bytes) {
        return decode_as(encoding, bytes);
    }
    // ISO-2022-JP is the one encoding in use that is all ASCII: it switches by escape sequences.
    let switches = bytes.is_ascii() && bytes.contains(&0x1B);
    if let (false, Ok(text)) = (switches, std::str::from_utf8(bytes)) {
        return Decoded { text: text.to_owned(), encoding: UTF_8.name(), lossy: false };
    }
    let head = &bytes[..bytes.len().min(DECLARATION_BYTES_MAX)];
    let labels = [content_type.and_then(http_label), xml_label(head), meta_label(head)];
    let mut utf8_claimed = false;
    for encoding in labels.into_iter().flatten() {
        utf8_claimed |= encoding == UTF_8;
        let decoded = decode_as(encoding, bytes);
        if !decoded.lossy {
            return decoded;
        }
    }
    if utf8_claimed && mostly_utf8(bytes) {
        return decode_as(UTF_8, bytes);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(&bytes[..bytes.len().min(DETECTOR_BYTES_MAX)], true);
    decode_as(detector.guess(None, Utf8Detection::Allow), bytes)
}

fn decode_as(encoding: &'static Encoding, bytes: &[u8]) -> Decoded {
    let (text, used, lossy) = encoding.decode(bytes);
    Decoded { text: text.into_owned(), encoding: used.name(), lossy }
}

/// UTF-32, which the web platform dropped but old feed software still writes.
fn utf32(bytes: &[u8]) -> Option<Decoded> {
    let big_endian = match bytes.get(..4)? {
        [0, 0, 0xFE, 0xFF] | [0, 0, 0, b'<' | b'{'] => true,
        [0xFF, 0xFE, 0, 0] | [b'<' | b'{', 0, 0, 0] => false,
        _ => return None,
    };
    let mut lossy = !bytes.len().is_multiple_of(4);
    let text = bytes
        .chunks_exact(4)
        .map(|unit| {
            let unit = [unit[0], unit[1], unit[2], unit[3]];
            let code = if big_endian { u32::from_be_bytes(unit) } else { u32::from_le_bytes(unit) };
            char::from_u32(code).unwrap_or_else(|| {
                lossy = true;
                char::REPLACEMENT_CHARACTER
            })
        })
        .collect::<String>();
    let text = text.strip_prefix('\u{FEFF}').map(str::to_owned).unwrap_or(text);
    Some(Decoded { text, encoding: "UTF-32", lossy })
}

/// XML, HTML and JSON begin with ASCII, so a NUL beside the first character tells UTF-16.
fn utf16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    match bytes.get(..4)? {
        [0, a, 0, b] if *a != 0 && *b != 0 => Some(UTF_16BE),
        [a, 0, b, 0] if *a != 0 && *b != 0 => Some(UTF_16LE),
        _ => None,
    }
}

/// `text/html; charset=utf-8` names an encoding.
fn http_label(content_type: &str) -> Option<&'static Encoding> {
    label_after(content_type.as_bytes(), b"charset")
}

/// `<?xml version="1.0" encoding="…"?>`, also when junk stands before it.
fn xml_label(head: &[u8]) -> Option<&'static Encoding> {
    let start = find(head, b"<?xml")?;
    let end = start + find(&head[start..], b"?>")?;
    label_after(&head[start..end], b"encoding")
}

/// `<meta charset="…">` or `<meta http-equiv="Content-Type" content="text/html; charset=…">`.
fn meta_label(head: &[u8]) -> Option<&'static Encoding> {
    let mut rest = head;
    while let Some(start) = find(rest, b"<meta") {
        rest = &rest[start..];
        let end = find(rest, b">")?;
        if let Some(encoding) = label_after(&rest[..end], b"charset") {
            return Some(encoding);
        }
        rest = &rest[end..];
    }
    None
}

fn label_after(text: &[u8], name: &[u8]) -> Option<&'static Encoding> {
    let after = &text[find(text, name)? + name.len()..];
    let value = after.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let value = value.strip_prefix(b"\"").or_else(|| value.strip_prefix(b"'")).unwrap_or(value);
    let is_label = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_:.+".contains(byte);
    let end = value.iter().position(|byte| !is_label(byte)).unwrap_or(value.len());
    let encoding = Encoding::for_label(&value[..end])?;
    // UTF-16 was recognised by its bytes already; text that is not it cannot be made it by a label.
    (encoding != UTF_16BE && encoding != UTF_16LE).then_some(encoding)
}

/// The first place of an ASCII needle, whatever its case.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window.eq_ignore_ascii_case(needle))
}

/// Whether broken bytes are rare enough to be damage in UTF-8 rather than another encoding.
fn mostly_utf8(bytes: &[u8]) -> bool {
    let (mut whole, mut broken) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        whole += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    whole > 4 * broken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], content_type: Option<&str>, text: &str, encoding: &str) {
        let decoded = decode(bytes, content_type);
        assert_eq!((decoded.text.as_str(), decoded.encoding), (text, encoding));
        assert!(!decoded.lossy);
    }

    #[test]
    fn reads_what_the_mark_the_label_or_the_bytes_say() {
        check(b"\xEF\xBB\xBFcaf\xC3\xA9", Some("text/xml; charset=latin1"), "café", "UTF-8");
        check(b"caf\xE9", Some("text/html; charset=ISO-8859-1"), "café", "windows-1252");
        check(b"caf\xC3\xA9", Some("text/html; charset=ISO-8859-1"), "café", "UTF-8");
        let koi8 = b"<?xml version='1.0' encoding='koi8-r'?><t>\xF4\xC5\xD3\xD4</t>";
        check(koi8, None, "<?xml version='1.0' encoding='koi8-r'?><t>Тест</t>", "KOI8-R");
        let meta = b"<meta http-equiv=content-type content='text/html; charset=windows-1251'>\xCF";
        let text = "<meta http-equiv=content-type content='text/html; charset=windows-1251'>П";
        check(meta, None, text, "windows-1251");
        check(b"<\0a\0>\0", None, "<a>", "UTF-16LE");
        check(b"\xFE\xFF\0<\0a", None, "<a", "UTF-16BE");
        check(b"\0\0\0<\0\0\0a", None, "<a", "UTF-32");
        check(b"\xFF\xFE\0\0<\0\0\0", None, "<", "UTF-32");
        check(b"plain", Some("text/plain; charset=no-such-thing"), "plain", "UTF-8");
    }

    #[test]
    fn finds_a_declaration_far_down_the_page() {
        let mut page = vec![b' '; 3000];
        page.extend_from_slice(b"<meta charset=\"koi8-r\">\xF4");
        assert!(decode(&page, None).text.ends_with('Т'));
    }

    #[test]
    fn flags_what_it_had_to_replace() {
        let damaged = "größe möglich über äußerst".replace("über", "?ber");
        let mut bytes = damaged.into_bytes();
        let at = bytes.iter().position(|byte| *byte == b'?').expect("the mark is there");
        bytes[at] = 0xFF;
        let decoded = decode(&bytes, Some("text/plain; charset=utf-8"));
        assert_eq!(decoded.text, "größe möglich \u{FFFD}ber äußerst");
        assert!(decoded.lossy);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, label in "[ -~]{0,40}") {
            let _ = decode(&bytes, Some(&label));
        }
    }
}
