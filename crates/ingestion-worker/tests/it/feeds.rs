//! Feeds of every dialect and encoding: nothing panics, and the values are the stated ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ingestion_worker::charset;
use ingestion_worker::feed::{self, Entry};
use testkit::corpus;
use url::Url;

use expect::{Expectation, Value};

mod expect;

/// Where feedparser's own tests serve a file from that names no other place.
const BASE: &str = "http://127.0.0.1:8097/";

fn files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(&folder).expect("the folder can be read") {
            let path = item.expect("the folder can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_uppercase();
            match path.is_dir() {
                true => folders.push(path),
                false if name.starts_with("LICENSE") => {}
                false => files.push(path),
            }
        }
    }
    files.sort();
    files
}

/// Right of total, per field.
#[derive(Default)]
struct Tally(BTreeMap<&'static str, (usize, usize)>);

impl Tally {
    fn count(&mut self, field: &'static str, right: bool) {
        let (rights, total) = self.0.entry(field).or_default();
        *rights += usize::from(right);
        *total += 1;
    }

    /// Prints the shares of these fields together and asserts the floor.
    fn assert_floor(&self, fields: &[&str], percent: usize) {
        let (mut rights, mut total) = (0, 0);
        for field in fields {
            let (right, of) = self.0.get(field).copied().unwrap_or_default();
            println!("{field}: {right} of {of}");
            rights += right;
            total += of;
        }
        println!("{}: {rights} of {total} (floor {percent} %)", fields.join(", "));
        assert!(total > 0, "nothing was compared");
        assert!(rights * 100 >= total * percent, "{fields:?}: {rights} of {total}");
    }
}

#[test]
fn feedparsers_files_parse_and_mean_what_they_state() {
    let Some(root) = corpus("feeds/feedparser") else { return };
    let mut tally = Tally::default();
    for path in files(&root) {
        let bytes = std::fs::read(&path).expect("the file can be read");
        let stated = expect::read(&bytes);
        let base = stated.content_location.as_deref().unwrap_or(BASE);
        let base = Url::parse(base).expect("the stated base is an address");
        let parsed = feed::parse(&bytes, stated.content_type.as_deref(), Some(&base));
        tally.count("parsed", parsed.is_ok());
        let first = match &parsed {
            Ok(feed) => feed.entries.first(),
            Err(error) => {
                println!("not parsed: {}: {error}", path.display());
                None
            }
        };
        for expectation in &stated.expectations {
            let Some((field, right)) = compare(expectation, first) else { continue };
            tally.count(field, right);
            if !right {
                println!("wrong {field}: {}: {expectation:?} but {first:?}", path.display());
            }
        }
    }
    tally.assert_floor(&["parsed"], 99);
    tally.assert_floor(&["title", "id", "link"], 95);
    tally.assert_floor(&["author", "date", "tag"], 95);
}

/// Whether the entry has the stated value; none where the row is about something that we do not
/// keep, such as the relation of a link or the base of a text.
fn compare(expectation: &Expectation, entry: Option<&Entry>) -> Option<(&'static str, bool)> {
    let path: Vec<&str> = expectation.path.iter().map(String::as_str).collect();
    let index = expectation.index;
    let stated = &expectation.value;
    let author = |field: fn(&feed::Person) -> Option<String>| {
        ("author", entry.and_then(|entry| entry.authors.get(index)).and_then(field))
    };
    let text = |value: Option<String>, same: fn(&str, &str) -> bool| {
        let Value::Text(stated) = stated else { return false };
        value.is_some_and(|value| same(&value, stated))
    };
    let (field, value) = match path[..] {
        ["title"] | ["title_detail", "value"] => {
            let right = text(entry.map(|entry| entry.title.clone()), same_words);
            return Some(("title", right));
        }
        ["id" | "guid"] => ("id", entry.and_then(|entry| entry.guid.clone())),
        ["link"] => {
            return Some(("link", text(entry.and_then(|entry| entry.url.clone()), same_url)));
        }
        ["author"] => author(|person| Some(person.to_string())),
        ["author_detail" | "authors", "name"] => author(|person| person.name.clone()),
        ["author_detail" | "authors", "email"] => author(|person| person.email.clone()),
        ["author_detail" | "authors", "url" | "href"] => author(|person| person.url.clone()),
        ["category"] | ["tags", "term"] => {
            ("tag", entry.and_then(|entry| entry.tags.get(index)).cloned())
        }
        ["published" | "published_parsed" | "created" | "created_parsed"] => {
            let date = entry.and_then(|entry| entry.published);
            return Some(("date", date.is_some_and(|date| stated.is_date(date))));
        }
        ["updated" | "updated_parsed"] => {
            let date = entry.and_then(|entry| entry.updated);
            return Some(("date", date.is_some_and(|date| stated.is_date(date))));
        }
        _ => return None,
    };
    Some((field, text(value, |value, stated| value == stated)))
}

/// Titles are kept without markup, so the stated HTML is compared by its words.
fn same_words(title: &str, stated: &str) -> bool {
    let html = dom_query::Document::from(stated);
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    words(title) == words(stated) || words(title) == words(&html.text())
}

fn same_url(url: &str, stated: &str) -> bool {
    Url::parse(url).ok() == Url::parse(stated).ok()
}

#[test]
fn no_real_file_panics_and_polling_three_times_adds_nothing() {
    let Some(root) = corpus("feeds") else { return };
    let (mut feeds, mut others) = (0, 0);
    for path in files(&root) {
        let bytes = std::fs::read(&path).expect("the file can be read");
        let base = Url::parse(BASE).expect("the base is an address");
        let poll = || feed::parse(&bytes, None, Some(&base));
        let Ok(first) = poll() else {
            others += 1;
            println!("not a feed: {}", path.display());
            continue;
        };
        feeds += 1;
        let keys = |feed: &feed::Feed| {
            feed.entries.iter().map(|entry| entry.key.clone()).collect::<Vec<_>>()
        };
        for _ in 0..2 {
            let again = poll().expect("what was read once can be read again");
            assert_eq!(keys(&first), keys(&again), "{}", path.display());
        }
    }
    println!("{feeds} feeds, {others} other files");
    assert!(feeds > 0);
}

#[test]
fn feed_rs_files_have_the_values_that_it_found() {
    let Some(root) = corpus("feeds/feed-rs") else { return };
    let mut tally = Tally::default();
    for stated_path in files(&root) {
        let name = stated_path.to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".serde.json") else { continue };
        let source = ["xml", "json"].map(|ending| PathBuf::from(format!("{stem}.{ending}")));
        let Some(source) = source.iter().find(|path| path.is_file()) else { continue };
        let stated = std::fs::read(&stated_path).expect("the file can be read");
        let stated: serde_json::Value = serde_json::from_slice(&stated).expect("it is JSON");
        let bytes = std::fs::read(source).expect("the file can be read");
        let parsed = feed::parse(&bytes, None, None);
        tally.count("parsed", parsed.is_ok());
        let Ok(parsed) = parsed else {
            println!("not parsed: {}", source.display());
            continue;
        };
        let entries = stated["entries"].as_array().map_or(&[][..], Vec::as_slice);
        tally.count("entries", parsed.entries.len() == entries.len());
        let (Some(stated), Some(found)) = (entries.first(), parsed.entries.first()) else {
            continue;
        };
        if let Some(title) = stated["title"]["content"].as_str() {
            tally.count("title", same_words(&found.title, title));
        }
        if let Some(link) = stated["links"][0]["href"].as_str() {
            tally.count("link", found.url.as_deref().is_some_and(|url| same_url(url, link)));
        }
        if let Some(date) = stated["published"].as_str() {
            let date = chrono::DateTime::parse_from_rfc3339(date).expect("it wrote this date");
            tally.count("date", found.published == Some(date.to_utc()));
        }
    }
    tally.assert_floor(&["parsed"], 99);
    tally.assert_floor(&["entries", "title", "link", "date"], 95);
}

#[test]
fn declared_and_undeclared_encodings_are_read_right() {
    let Some(root) = corpus("feeds/miniflux") else { return };
    for (file, expected) in [
        ("utf8.xml", "Café"),
        ("iso-8859-1.xml", "Café"),
        ("windows-1252.xml", "Euro €"),
        ("utf8-incorrect-prolog.xml", "테스트 피드"),
        ("invalid-prolog.xml", "테스트 피드"),
        ("windows-1252-incorrect-prolog.xml", "Euro €"),
        ("utf8-meta-after-1024.html", "Café"),
        ("iso-8859-1-meta-after-1024.html", "Café"),
        ("utf8.html", "Café"),
        ("iso-8859-1.html", "Café"),
    ] {
        let bytes = std::fs::read(root.join(file)).expect("the file can be read");
        let decoded = charset::decode(&bytes, None);
        assert!(decoded.text.contains(expected), "{file}: {decoded:?}");
        assert!(!decoded.lossy, "{file}");
    }
}
