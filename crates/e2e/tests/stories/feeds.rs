//! A feed becomes searchable knowledge, edits become revisions, nothing comes twice.

use serde_json::json;
use testkit::{Response, Site};

use crate::instance::{Instance, text};

/// An RSS feed with one item of the given title and text.
fn feed(title: &str, body: &str) -> String {
    format!(
        r#"<?xml version="1.0"?><rss version="2.0"><channel><title>Harbour news</title>
        <link>https://harbour.example/</link>
        <item><guid isPermaLink="false">one</guid><title>{title}</title>
        <link>https://harbour.example/one</link><author>ann@harbour.example (Ann)</author>
        <category>ships</category><pubDate>Mon, 02 Nov 2026 10:00:00 GMT</pubDate>
        <description>{body}</description></item></channel></rss>"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_is_polled_searched_and_revised() {
    let site = Site::start().await;
    let rss = |title, body| Response::ok(feed(title, body)).content_type("application/rss+xml");
    site.serve("/feed.xml", rss("A schooner arrives", "The schooner Periwinkle moored at dawn."));
    let instance = Instance::start().await;
    let url = site.url("/feed.xml");
    // Trying a feed needs no project, and makes none.
    let tested = instance.json(&["source", "test", &url]);
    assert_eq!((&tested["ok"], &tested["items"]), (&json!(true), &json!(1)), "{tested}");
    let tested = instance.json(&["source", "test", &url, "--project", "p"]);
    assert_eq!(tested["samples"], json!(["A schooner arrives"]), "{tested}");
    assert_eq!(instance.json(&["project", "list"])["items"], json!([]));
    let added = instance.json(&[
        "source",
        "add",
        "feed",
        &url,
        "--project",
        "p",
        "--schedule",
        "*/15 * * * *",
        "--priority",
        "7",
        "--name",
        "harbour",
    ]);
    let id = added["id"].as_str().expect("an id");
    for _ in 0..3 {
        let run = instance.run(&["source", "run", id, "--wait"]);
        assert!(run.status.success(), "{}\n{}", text(&run), instance.log());
    }
    assert_eq!(instance.titles("periwinkle schooner"), ["A schooner arrives"]);
    let found = instance.json(&["search", "schooner", "--project", "p"]);
    assert_eq!(found["results"][0]["url"], "https://harbour.example/one");
    assert_eq!(found["results"][0]["source"], "harbour");

    site.serve("/feed.xml", rss("A schooner leaves", "The schooner Periwinkle left at dusk."));
    let run = instance.run(&["source", "run", id, "--wait"]);
    assert!(run.status.success(), "{}", text(&run));
    assert_eq!(instance.titles("periwinkle schooner"), ["A schooner leaves"]);

    let again = instance.run(&["source", "add", "feed", &url, "--project", "p"]);
    assert_eq!(again.status.code(), Some(5), "{}", text(&again));
    let unknown = instance.run(&["source", "run", "no-such-source", "--project", "p"]);
    assert_eq!(unknown.status.code(), Some(3), "{}", text(&unknown));
}
