//! What feeds of each dialect are read as.

use super::*;

const BASE: &str = "https://a.example/feed.xml";

fn read(text: &str) -> Result<Feed, Error> {
    parse(text.as_bytes(), None, Some(&Url::parse(BASE).expect("an address")))
}

fn feed(text: &str) -> Feed {
    read(text).expect(text)
}

fn refused(text: &str) -> String {
    read(text).expect_err(text).to_string()
}

#[test]
fn says_what_it_is_instead() {
    assert!(refused("  ").contains("empty"));
    assert!(refused("{\"a\": 1}").contains("JSON"));
    assert!(refused("<?xml version='1.0'?><urlset/>").contains("<urlset>"));
    assert!(refused("hello").contains("neither XML nor JSON"));
    let page = "<!DOCTYPE html><html><head><title>Blog</title><link rel=alternate \
        type='application/rss+xml' href='/rss'><link rel='alternate' type='text/html' href='/de'>";
    let message = refused(page);
    assert!(message.contains("“Blog”") && message.contains("https://a.example/rss"), "{message}");
    assert!(!message.contains("/de"), "{message}");
    let login = "<html><title>Sign in</title><form><input type='password'></form></html>";
    assert!(refused(login).contains("login page"));
}

#[test]
fn guards_hold() {
    let deep = format!("<rss><channel><item>{}", "<a>".repeat(100));
    assert!(matches!(read(&deep), Err(Error::TooDeep { limit: 64 })));
    let word = "x".repeat(1000);
    let bomb = format!(
        "<!DOCTYPE rss [<!ENTITY a \"{word}\">]><rss><channel><item><title>{}</title></item>",
        "&a;".repeat(2000)
    );
    assert!(matches!(read(&bomb), Err(Error::EntityExpansion { .. })));
    let word = "x".repeat(100_000);
    let terabytes = format!(
        "<!DOCTYPE rss [<!ENTITY a \"{word}\">]><rss><channel><item><link href='{}'/></item>",
        "&a;".repeat(4_000_000)
    );
    assert!(matches!(read(&terabytes), Err(Error::EntityExpansion { .. })));
    let laughs = "<!DOCTYPE r [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\"><!ENTITY c \"&b;&b;\">]>\
        <rss><channel><item><title>&c;</title></item></channel></rss>";
    assert_eq!(feed(laughs).entries[0].title, "&b;&b;");
    let external = "<!DOCTYPE r [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>\
        <rss><channel><item><title>&x;</title></item></channel></rss>";
    assert_eq!(feed(external).entries[0].title, "&x;");
    let item = |n: usize| format!("<item><guid>{n}</guid></item>");
    let many: String = (0..ENTRIES_MAX + 5).map(item).collect();
    let many = feed(&format!("<rss><channel>{many}</channel></rss>"));
    assert_eq!((many.entries.len(), many.broken_off), (ENTRIES_MAX, false));
    let large = vec![b' '; BODY_BYTES_MAX + 1];
    assert!(matches!(parse(&large, None, None), Err(Error::TooLarge { .. })));
}

#[test]
fn a_broken_off_feed_yields_what_is_whole() {
    let text = "<rss version='2.0'><channel><title>T</title><item><guid>1</guid><title>one</title>\
        </item><item><guid>2</guid><title>tw";
    let feed = feed(text);
    assert!(feed.broken_off);
    assert_eq!(feed.title.as_deref(), Some("T"));
    let guids: Vec<_> = feed.entries.iter().map(|entry| entry.guid.as_deref()).collect();
    assert_eq!(guids, [Some("1")], "of the second one nobody knows what is missing");
}

#[test]
fn what_is_listed_without_end_is_cut() {
    let tags: String = (0..500).map(|n| format!("<category>t{n}</category>")).collect();
    let authors: String = (0..500).map(|n| format!("<dc:creator>A{n}</dc:creator>")).collect();
    let both = format!("<rss><channel><item><guid>1</guid>{tags}{authors}</item></channel></rss>");
    let entry = feed(&both).entries.remove(0);
    assert_eq!((entry.tags.len(), entry.authors.len()), (TAGS_MAX, AUTHORS_MAX));
    let tags: Vec<String> = (0..500).map(|n| format!("\"t{n}\"")).collect();
    let json = format!(
        "{{\"version\":\"https://jsonfeed.org/version/1.1\",\"title\":\"F\",\"items\":[{{\"id\":\"1\",\
         \"content_text\":\"x\",\"tags\":[{}]}}]}}",
        tags.join(",")
    );
    assert_eq!(feed(&json).entries[0].tags.len(), TAGS_MAX);
}

#[test]
fn what_is_made_to_be_slow_is_not() {
    let started = std::time::Instant::now();
    let unclosed = "<a ".repeat(1_000_000);
    assert!(text::words_of_html(&unclosed).starts_with("<a <a"));
    let nested = format!("<html><title>x</title>{}", "<div>".repeat(200_000));
    assert!(refused(&nested).contains("a web page"));
    let base = "b".repeat(100_000);
    let bases = format!(
        "<rss xml:base='https://b.example/{base}'><channel><item><guid>1</guid><title>T</title>{}",
        "<a/>".repeat(20_000)
    );
    assert_eq!(feed(&bases).entries.len(), 1);
    let took = started.elapsed();
    assert!(took < std::time::Duration::from_secs(20), "{took:?}");
}

#[test]
fn a_json_feed_is_one_by_its_version_however_that_is_escaped() {
    let escaped = r#"{"version":"https:\/\/jsonfeed.org\/version\/1.1","title":"F","items":[
        {"id":"1","content_text":"x"}]}"#;
    assert_eq!(feed(escaped).entries.len(), 1);
    let about = r#"{"text":"see https://jsonfeed.org/version/1.1","items":[]}"#;
    assert!(refused(about).contains("no JSON Feed"));
}

#[test]
fn what_xml_forbids_is_forgiven() {
    let text = "junk <rss><channel><item><title>Q & A\u{0}, caf&eacute; &#146;s</title>\
        <description><br>unclosed <b>bold</description><link>/a</link></item></channel></rss>";
    let feed = feed(text);
    let entry = &feed.entries[0];
    assert_eq!(entry.title, "Q & A, café ’s");
    assert_eq!(entry.url.as_deref(), Some("https://a.example/a"));
    assert!(entry.summary_html.as_deref().is_some_and(|html| html.contains("<b>bold")));
}

#[test]
fn dialects_mean_the_same() {
    let rdf = "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' \
        xmlns='http://purl.org/rss/1.0/' xmlns:dc='http://purl.org/dc/elements/1.1/'>\
        <channel><title>F</title></channel><item rdf:about='https://a.example/1'>\
        <title>T</title><dc:creator>Ann</dc:creator><dc:date>2003-12-31T10:14:55Z</dc:date>\
        <dc:subject>tag</dc:subject></item></rdf:RDF>";
    let atom3 = "<feed version='0.3' xmlns='http://purl.org/atom/ns#'><title>F</title><entry>\
        <id>https://a.example/1</id><link rel='alternate' href='1'/><title mode='escaped' \
        type='text/html'>&lt;i&gt;T&lt;/i&gt;</title><author><name>Ann</name></author>\
        <issued>2003-12-31T10:14:55Z</issued><category term='tag'/></entry></feed>";
    let json = r#"{"version":"https://jsonfeed.org/version/1.1","title":"F","items":[{
        "id":"https://a.example/1","url":"/1","title":"T","authors":[{"name":"Ann"}],
        "date_published":"2003-12-31T10:14:55Z","tags":["tag"],"content_text":"a < b"}]}"#;
    for text in [rdf, atom3, json] {
        let feed = feed(text);
        assert_eq!(feed.title.as_deref(), Some("F"));
        let entry = &feed.entries[0];
        assert_eq!(entry.guid.as_deref(), Some("https://a.example/1"));
        assert_eq!(entry.url.as_deref(), Some("https://a.example/1"), "{text}");
        assert_eq!(entry.title, "T");
        assert_eq!(entry.authors[0].to_string(), "Ann");
        assert_eq!(entry.tags, ["tag"]);
        let published = entry.published.map(|date| date.to_rfc3339());
        assert_eq!(published.as_deref(), Some("2003-12-31T10:14:55+00:00"));
    }
}

#[test]
fn an_entry_without_author_has_the_feeds() {
    let text = "<feed xmlns='http://www.w3.org/2005/Atom'><author><name>Ann</name></author>\
        <entry><id>1</id></entry><entry><id>2</id><author><name>Bob</name></author></entry></feed>";
    let names: Vec<_> =
        feed(text).entries.iter().map(|entry| entry.authors[0].to_string()).collect();
    assert_eq!(names, ["Ann", "Bob"]);
}

proptest::proptest! {
    #[test]
    fn never_panics(bytes: Vec<u8>, text in "(<[a-z:/!?]{0,8}( [a-z]{1,5}='[^>]{0,8}')?>|&[a-z#]{0,4};|\\PC){0,40}") {
        let _ = parse(&bytes, None, None);
        let _ = parse(format!("<rss><channel>{text}").as_bytes(), None, None);
        let _ = parse(format!("<feed><entry>{text}").as_bytes(), None, None);
    }
}
