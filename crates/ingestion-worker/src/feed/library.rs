//! Calls the two feed libraries and turns what they return into our own types.

use std::panic::catch_unwind;

use feedparser_rs::{ParseOptions, ParserLimits, TextType};
use quick_xml::escape::escape;
use url::Url;

use super::person::Person;
use super::text::{looks_like_html, one_line, words_of_html};
use super::{AUTHORS_MAX, ENTRIES_MAX, Entry, Feed, Parser, TAGS_MAX, date};

/// Reads plain Atom (see [`super::atom`]) or JSON Feed. The error is the library's own words.
pub(super) fn feed_rs(text: &str, base: Option<&Url>) -> Result<Feed, String> {
    let parsed = catch_unwind(|| {
        feed_rs::parser::Builder::new()
            .base_uri(base.map(Url::as_str))
            .sanitize_content(false)
            .timestamp_parser(date::parse)
            // An id made up here would be mistaken for the publisher's.
            .id_generator(|_, _, _| String::new())
            .build()
            .parse(text.as_bytes())
    });
    let mut parsed = match parsed {
        Ok(Ok(parsed)) => parsed,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("the parser panicked".to_owned()),
    };
    let authors = persons(std::mem::take(&mut parsed.authors));
    parsed.entries.truncate(ENTRIES_MAX);
    Ok(Feed {
        title: parsed.title.map(|title| plain(&title.content, is_html(&title.content_type))),
        link: best_link(&parsed.links, base),
        language: parsed.language,
        entries: parsed
            .entries
            .into_iter()
            .map(|entry| from_feed_rs(entry, &authors, base))
            .collect(),
        broken_off: false,
        parser: Parser::FeedRs,
        charset: "UTF-8",
        lossy: false,
    })
}

fn from_feed_rs(
    entry: feed_rs::model::Entry,
    feed_authors: &[Person],
    base: Option<&Url>,
) -> Entry {
    let mut authors = persons(entry.authors);
    if authors.is_empty() {
        authors = feed_authors.to_vec();
    }
    let content = entry.content.and_then(|content| {
        let html = is_html(&content.content_type);
        content.body.map(|body| markup(body, html))
    });
    let summary = entry.summary.map(|text| {
        let html = is_html(&text.content_type);
        markup(text.content, html)
    });
    let tags = tags(entry.categories.iter().map(|category| category.term.as_str()));
    Entry {
        guid: Some(entry.id.trim().to_owned()).filter(|guid| !guid.is_empty()),
        title: entry
            .title
            .map_or_else(String::new, |title| plain(&title.content, is_html(&title.content_type))),
        url: best_link(&entry.links, base),
        authors,
        published: entry.published,
        updated: entry.updated,
        tags,
        content_html: content.filter(|html| !html.trim().is_empty()),
        summary_html: summary.filter(|html| !html.trim().is_empty()),
        base_url: entry.base,
        language: entry.language,
        ..Entry::default()
    }
}

/// Each once, in their order.
fn tags<'a>(terms: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for term in terms {
        let tag = one_line(term);
        if tags.len() < TAGS_MAX && !tag.is_empty() && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

fn persons(people: Vec<feed_rs::model::Person>) -> Vec<Person> {
    people
        .into_iter()
        .take(AUTHORS_MAX)
        .map(|person| Person {
            name: person.name.map(|name| one_line(&name)),
            email: person.email,
            url: person.uri,
        })
        .collect()
}

/// The page of an entry: its alternate, else its permalink, else what RDF says it is about.
fn best_link(links: &[feed_rs::model::Link], base: Option<&Url>) -> Option<String> {
    let by =
        |rel: &str| links.iter().find(|link| link.rel.as_deref().unwrap_or("alternate") == rel);
    let link = ["alternate", "permalink", "about"].into_iter().find_map(by)?;
    absolute(&link.href, base)
}

fn is_html(kind: &impl ToString) -> bool {
    kind.to_string().contains("html")
}

/// Reads whatever it can of a feed that is not well-formed.
pub(super) fn feedparser_rs(text: &str, base: Option<&Url>) -> Result<Feed, String> {
    let options = ParseOptions {
        sanitize_html: false,
        resolve_relative_uris: true,
        limits: ParserLimits { max_entries: ENTRIES_MAX, ..ParserLimits::default() },
    };
    let parsed = catch_unwind(|| feedparser_rs::parse_with_options(text.as_bytes(), &options));
    let parsed = match parsed {
        Ok(Ok(parsed)) => parsed,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("the parser panicked".to_owned()),
    };
    let feed = parsed.feed;
    Ok(Feed {
        title: feed.title.map(|title| plain(&title, looks_like_html(&title))),
        link: feed.link.and_then(|link| absolute(&link, base)),
        language: feed.language.map(|language| language.to_string()),
        broken_off: false,
        entries: parsed.entries.into_iter().map(|entry| from_feedparser(entry, base)).collect(),
        parser: Parser::FeedparserRs,
        charset: "UTF-8",
        lossy: false,
    })
}

fn from_feedparser(entry: feedparser_rs::Entry, base: Option<&Url>) -> Entry {
    let is_html = |kind: TextType| !matches!(kind, TextType::Text);
    let title_is_html =
        entry.title_detail.as_ref().is_some_and(|title| is_html(title.content_type));
    let title = entry.title.unwrap_or_default();
    let authors = entry.authors.into_iter().map(|person| {
        let parsed = Person::parse(person.name.as_deref().unwrap_or_default());
        Person {
            name: parsed.name,
            email: person.email.map(|email| email.to_string()).or(parsed.email),
            url: person.uri.and_then(|uri| absolute(&uri, base)),
        }
    });
    Entry {
        guid: entry.id.map(|id| id.trim().to_owned()).filter(|guid| !guid.is_empty()),
        title: plain(&title, title_is_html || looks_like_html(&title)),
        url: entry.link.and_then(|link| absolute(&link, base)),
        authors: authors.filter(|person| *person != Person::default()).take(AUTHORS_MAX).collect(),
        published: entry.published.or(entry.created).or(entry.dc_date),
        updated: entry.updated,
        tags: tags(entry.tags.iter().map(|tag| &*tag.term)),
        content_html: entry.content.into_iter().next().map(|content| content.value),
        summary_html: entry.summary,
        ..Entry::default()
    }
}

fn absolute(address: &str, base: Option<&Url>) -> Option<String> {
    let url = match base {
        Some(base) => base.join(address.trim()),
        None => Url::parse(address.trim()),
    };
    url.ok().map(String::from)
}

fn plain(text: &str, html: bool) -> String {
    if html { words_of_html(text) } else { one_line(text) }
}

fn markup(text: String, html: bool) -> String {
    match html || looks_like_html(&text) {
        true => text,
        false => escape(text).into_owned(),
    }
}
