//! Real pages: the article that is found is the one that people marked.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;

use dom_query::Document;
use ingestion_worker::page;
use testkit::corpus;
use url::Url;

/// Where readability's own tests serve a page from.
const BASE: &str = "http://fakehost/test/page.html";

/// How much of the words must be the same for a page to count as right.
const F1_MIN: f64 = 0.99;

/// The archive has this many pages, or it is not the archive.
const PAGES_MIN: usize = 130;

/// The share of pages that must be right: 125 of 130, in percent.
const RIGHT_PERCENT_MIN: usize = 96;

/// The pages of the archive: name, source, expected.
fn pages() -> Option<Vec<(String, String, String)>> {
    let folder = corpus("articles/readability")?;
    let archive = std::fs::File::open(folder.join("readability-test-pages.tgz"));
    let archive = flate2::read::GzDecoder::new(archive.expect("the archive is there"));
    let mut files = BTreeMap::<String, HashMap<String, String>>::new();
    for file in tar::Archive::new(archive).entries().expect("it is an archive") {
        let mut file = file.expect("it is whole");
        let path = file.path().expect("its names are text").into_owned();
        let name = |path: Option<&std::path::Path>| {
            path.and_then(std::path::Path::file_name)
                .map(|name| name.to_string_lossy().into_owned())
        };
        let (Some(page), Some(part)) = (name(path.parent()), name(Some(path.as_path()))) else {
            continue;
        };
        if matches!(part.as_str(), "source.html" | "expected.html") {
            let mut text = String::new();
            file.read_to_string(&mut text).expect("it is text");
            files.entry(page).or_default().insert(part, text);
        }
    }
    let pages = files.into_iter().filter_map(|(name, mut parts)| {
        Some((name, parts.remove("source.html")?, parts.remove("expected.html")?))
    });
    Some(pages.collect())
}

/// How often each word occurs.
fn words(text: &str) -> HashMap<String, usize> {
    let mut words = HashMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        *words.entry(word.to_lowercase()).or_default() += 1;
    }
    words
}

fn f1(found: &str, expected: &str) -> f64 {
    let (found, expected) = (words(found), words(expected));
    if found.is_empty() || expected.is_empty() {
        // A page of pictures has no words to find.
        return if found.is_empty() && expected.is_empty() { 1.0 } else { 0.0 };
    }
    let total = |words: &HashMap<String, usize>| words.values().sum::<usize>() as f64;
    let same: usize =
        found.iter().map(|(word, count)| *count.min(expected.get(word).unwrap_or(&0))).sum();
    let (precision, recall) = (same as f64 / total(&found), same as f64 / total(&expected));
    2.0 * precision * recall / (precision + recall)
}

/// The text of HTML, with words of neighbouring blocks apart.
fn text(html: &str) -> String {
    let page = Document::from(html.replace('<', " <"));
    page.select("script, style, noscript, template, iframe").remove();
    page.text().to_string()
}

#[test]
fn articles_are_the_ones_that_people_marked() {
    let Some(pages) = pages() else { return };
    assert!(pages.len() >= PAGES_MIN, "the archive has {} pages", pages.len());
    let base = Url::parse(BASE).expect("an address");
    let (mut right, mut sum) = (0, 0.0);
    for (name, source, expected) in &pages {
        let found = page::article(source, Some(&base)).unwrap_or_default();
        let score = f1(&text(&found.html), &text(expected));
        sum += score;
        right += usize::from(score >= F1_MIN);
        if score < F1_MIN {
            println!("{name}: {score:.4}");
        }
        for active in ["<script", "javascript:", " onclick=", "<style", "<iframe"] {
            assert!(!found.html.contains(active), "{name} has {active}");
        }
    }
    let of = pages.len();
    println!("{right} of {of} with F1 >= {F1_MIN}, mean {:.4}", sum / of as f64);
    assert!(right * 100 >= of * RIGHT_PERCENT_MIN, "{right} of {of}");
}
