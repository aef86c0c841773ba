//! Removes from a page everything that acts, tracks or only decorates.

use dom_query::Document;
use url::Url;

/// Elements that go with all they contain.
const REMOVED: &str = "script, style, noscript, template, iframe, frame, frameset, object, embed, \
    applet, link, meta, base, form, input, button, select, textarea, svg, math script, canvas, \
    audio, video, nav, dialog, [role=navigation], [hidden]";

/// Attributes that stay. Event handlers, styles and ids do not.
const KEPT: [&str; 9] =
    ["href", "src", "alt", "title", "class", "colspan", "rowspan", "start", "lang"];

/// Schemes that a link may have.
const SCHEMES: [&str; 3] = ["http", "https", "mailto"];

/// Cleans the page in place and makes its addresses absolute.
pub(super) fn sanitise(page: &Document, base_url: Option<&Url>) {
    let own = page.select("base[href]").attr("href");
    let base = match (own, base_url) {
        (Some(own), Some(base)) => base.join(&own).ok().or_else(|| base_url.cloned()),
        (Some(own), None) => Url::parse(&own).ok(),
        (None, base) => base.cloned(),
    };
    page.select(REMOVED).remove();
    for element in page.root().descendants() {
        if element.is_comment() {
            element.remove_from_parent();
            continue;
        }
        if !element.is_element() {
            continue;
        }
        element.retain_attrs(&KEPT);
        for name in ["href", "src"] {
            let Some(address) = element.attr(name) else { continue };
            match absolute(&address, base.as_ref()) {
                Some(address) => element.set_attr(name, &address),
                None => element.remove_attr(name),
            }
        }
    }
    // What had only a script or inline data for an address is nothing any more.
    page.select("img:not([src])").remove();
}

/// The address made absolute; none if its scheme is not harmless. Without a base a relative one
/// stays as it is.
fn absolute(address: &str, base: Option<&Url>) -> Option<String> {
    // Browsers ignore white space and controls inside a scheme, so they must not hide one here.
    let address: String = address.chars().filter(|c| !c.is_control()).collect();
    let address = address.trim();
    let url = match base {
        Some(base) => base.join(address),
        None => Url::parse(address),
    };
    match url {
        Ok(url) => SCHEMES.contains(&url.scheme()).then(|| url.into()),
        Err(url::ParseError::RelativeUrlWithoutBase) => Some(address.to_owned()),
        Err(_) => None,
    }
}
