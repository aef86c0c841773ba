//! The pages, as a person sees them in a browser.

use std::{fs, time::Duration};

use serde_json::json;
use testkit::{Response, Site, eventually};

use crate::{
    browser::Browser,
    instance::{Instance, text},
};

const ENTER: &str = "\u{E007}";

/// For a page to follow a key or a form.
const PAGE_DEADLINE: Duration = Duration::from_secs(15);

/// Every page that has no id in its address.
const PAGES: [&str; 15] = [
    "/",
    "/search",
    "/search?q=schooner&explain=on",
    "/documents",
    "/sources",
    "/sources/new",
    "/jobs",
    "/jobs?state=done",
    "/dead-letters",
    "/projects",
    "/users",
    "/tokens",
    "/audit",
    "/help",
    "/api/docs",
];

/// A title that would run if any page forgot to escape it.
const EVIL: &str = "<script>window.pwned=1</script><img src=x onerror=window.pwned=1> schooner";

async fn sign_in(browser: &Browser, instance: &Instance) -> String {
    let base = instance.address("http");
    let password = fs::read_to_string(instance.data_dir().join("admin.password"));
    let password = password.expect("admin.password");
    browser.visit(&format!("{base}/sources")).await;
    browser.type_into("input[autocomplete=username]", "admin").await;
    browser.type_into("input[type=password]", &format!("{}{ENTER}", password.trim())).await;
    arrives(browser, &format!("{base}/sources")).await;
    base
}

async fn arrives(browser: &Browser, url: &str) {
    eventually(PAGE_DEADLINE, || async {
        let now = browser.url().await;
        if now.starts_with(url) { Ok(()) } else { Err(now) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_clean_in_light_and_dark_and_scripts_stay_text() {
    let site = Site::start().await;
    let evil = EVIL.replace('<', "&lt;").replace('>', "&gt;");
    let feed = format!(
        "<rss version=\"2.0\"><channel><title>t</title><item><guid>1</guid>\
         <title>{evil}</title><description>A schooner.</description></item></channel></rss>"
    );
    site.serve("/feed.xml", Response::ok(feed).content_type("application/rss+xml"));
    let instance = Instance::start().await;
    let added = instance.json(&[
        "source",
        "add",
        "feed",
        &site.url("/feed.xml"),
        "--project",
        "p",
        "--name",
        EVIL,
    ]);
    let id = added["id"].as_str().expect("an id");
    let run = instance.run(&["source", "run", id, "--wait"]);
    assert!(run.status.success(), "{}", text(&run));
    let found = instance.json(&["search", "schooner", "--project", "p"]);
    let document = found["results"][0]["document_id"].as_str().expect("a document");
    let jobs = instance.json(&["job", "list"]);
    let job = jobs["items"][0]["id"].as_str().expect("a job");

    let browser = Browser::open(true).await;
    let base = sign_in(&browser, &instance).await;
    let mut pages: Vec<String> = PAGES.iter().map(|page| (*page).to_owned()).collect();
    pages.push(format!("/sources/{id}"));
    pages.push(format!("/sources/{id}/edit"));
    pages.push(format!("/documents/{document}"));
    pages.push(format!("/jobs/{job}"));
    for scheme in ["light", "dark"] {
        browser.prefer(scheme).await;
        for page in &pages {
            browser.visit(&format!("{base}{page}")).await;
            let console = browser.console().await;
            assert!(console.is_empty(), "{page} in {scheme}: {console:?}");
            let requests = browser.requests().await;
            assert!(!requests.is_empty(), "{page}: the requests are not recorded");
            for request in requests {
                let ours = request.starts_with(&base) || request.starts_with("data:");
                assert!(ours, "{page} asks {request}");
            }
            assert_eq!(browser.evaluate("window.pwned === undefined").await, json!(true), "{page}");
        }
    }
    browser.visit(&format!("{base}/search?q=schooner")).await;
    assert!(browser.text().await.contains("<script>window.pwned=1</script>"));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_reaches_search_and_pages() {
    let instance = Instance::start().await;
    let browser = Browser::open(true).await;
    let base = sign_in(&browser, &instance).await;
    browser.visit(&format!("{base}/search")).await;
    browser.evaluate("document.activeElement.blur()").await;
    browser.press("/").await;
    browser.press(&format!("walnut{ENTER}")).await;
    arrives(&browser, &format!("{base}/search?q=walnut")).await;
    browser.visit(&format!("{base}/sources")).await;
    browser.press("gj").await;
    arrives(&browser, &format!("{base}/jobs")).await;
    browser.close().await;
}
