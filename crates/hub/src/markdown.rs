//! Shows a document's Markdown as HTML that can do nothing: no raw HTML, no remote image, no link
//! but to the web.

use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, TagEnd, html};

use crate::view::Markup;

/// Larger documents are shown as plain text, in bytes: a page should stay a page.
const RENDERED_BYTES_MAX: usize = 512 * 1024;

/// The HTML of a document; none when it is too large to be worth it.
pub(crate) fn render(text: &str) -> Option<Markup> {
    if text.len() > RENDERED_BYTES_MAX {
        return None;
    }
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut out = String::with_capacity(text.len() * 2);
    html::push_html(&mut out, Parser::new_ext(text, options).map(tame));
    Some(Markup(out))
}

fn tame(event: Event<'_>) -> Event<'_> {
    match event {
        // Raw HTML is shown as the text that it is.
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Link { link_type, dest_url: web_only(dest_url), title, id })
        }
        // An image is a link to itself: showing it would tell its site who reads.
        Event::Start(Tag::Image { dest_url, title, id, .. }) => Event::Start(Tag::Link {
            link_type: LinkType::Inline,
            dest_url: web_only(dest_url),
            title,
            id,
        }),
        Event::End(TagEnd::Image) => Event::End(TagEnd::Link),
        other => other,
    }
}

fn web_only(url: CowStr<'_>) -> CowStr<'_> {
    if is_web(&url) { url } else { CowStr::Borrowed("#") }
}

/// Whether an address may be a link on a page of ours.
pub(crate) fn is_web(url: &str) -> bool {
    let start = url.trim_start().to_ascii_lowercase();
    start.starts_with("https://") || start.starts_with("http://")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(markdown: &str, html: &str) {
        assert_eq!(render(markdown).unwrap().0.trim(), html);
    }

    #[test]
    fn markdown_becomes_html() {
        check("# A\n\n`b` *c*", "<h1>A</h1>\n<p><code>b</code> <em>c</em></p>");
    }

    #[test]
    fn nothing_in_a_document_can_act() {
        check("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;");
        check("a <img src=x onerror=alert(1)>", "<p>a &lt;img src=x onerror=alert(1)&gt;</p>");
        check("[x](javascript:alert(1))", "<p><a href=\"#\">x</a></p>");
        check("[x](  JavaScript:alert(1))", "<p><a href=\"#\">x</a></p>");
        check("[x](data:text/html,a)", "<p><a href=\"#\">x</a></p>");
        check("![x](https://a.example/p.png)", "<p><a href=\"https://a.example/p.png\">x</a></p>");
    }
}
