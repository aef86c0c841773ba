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

/// The hub's own list of pages.
const ROUTES: &str = include_str!("../../../hub/src/routes/pages.rs");

/// What nobody has.
const NOBODYS: &str = "018f0000-0000-7000-8000-000000000000";

/// Pages that tell a refusal.
const REFUSALS: [&str; 2] = [
    "/users/018f0000-0000-7000-8000-000000000000",
    "/operations/018f0000-0000-7000-8000-000000000000",
];

/// A title that would run if any page forgot to escape it.
const EVIL: &str = "<script>window.pwned=1</script><img src=x onerror=window.pwned=1> schooner";

/// Every page that can be opened, read from the list itself so that none is forgotten, with the
/// things that its address names and a query that lets it show something.
fn pages(thing: impl Fn(&str) -> String) -> Vec<String> {
    let routes = ROUTES.split(".route(\"").skip(1).filter(|route| {
        let calls = route.split(".route(").next().unwrap_or_default();
        calls.contains("get(")
    });
    let open = |route: &str| {
        let path = route.split('"').next().expect("a path");
        let section = path.split('/').nth(1).unwrap_or_default();
        let query = match path {
            "/search" => "?q=schooner&explain=true",
            "/dead-letters/confirm" => "?action=retry",
            "/sources/schedule" => "?expression=hourly&zone=UTC",
            "/jobs" => "?state=done",
            _ => "",
        };
        let path = path.replace("{id}", &thing(section)).replace("{act}", "test");
        path.replace("{slug}", "p") + query
    };
    routes.map(open).chain([REFUSALS[0].to_owned()]).collect()
}

pub(crate) async fn sign_in(browser: &Browser, instance: &Instance) -> String {
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

async fn shows(browser: &Browser, text: &str) {
    eventually(PAGE_DEADLINE, || async {
        let page = browser.text().await;
        if page.contains(text) { Ok(()) } else { Err(page) }
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
    let users = instance.json(&["user", "list"]);
    let user = users["items"][0]["id"].as_str().expect("a user");

    let browser = Browser::open(true).await;
    let base = sign_in(&browser, &instance).await;
    let pages = pages(|section| {
        let thing = match section {
            "sources" => id,
            "documents" => document,
            "jobs" => job,
            "users" => user,
            "operations" => NOBODYS,
            _ => "no-such-thing",
        };
        thing.to_owned()
    });
    assert!(pages.len() > 20, "{pages:?}");
    for scheme in ["light", "dark"] {
        browser.prefer(scheme).await;
        for page in &pages {
            browser.visit(&format!("{base}{page}")).await;
            let mut console = browser.console().await;
            // The browser notes by itself that the page is a refusal.
            let refusal = REFUSALS.contains(&page.as_str());
            console.retain(|line| !refusal || !line.contains("404 (Not Found)"));
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

#[tokio::test(flavor = "multi_thread")]
async fn forms_and_lists_work_without_javascript() {
    let site = Site::start().await;
    let feed = "<rss version=\"2.0\"><channel><title>t</title></channel></rss>";
    site.serve("/feed.xml", Response::ok(feed).content_type("application/rss+xml"));
    let instance = Instance::start().await;
    let browser = Browser::open(false).await;
    let base = sign_in(&browser, &instance).await;
    browser.visit(&format!("{base}/sources/new")).await;
    browser.type_into("main input[name=name]", "harbour").await;
    browser.type_into("main input[name=url]", &site.url("/feed.xml")).await;
    browser.type_into("main input[name=project]", "p").await;
    browser.replace("main input[name=schedule]", "sometimes").await;
    browser.type_into("main button[formaction='/sources/test']", ENTER).await;
    shows(&browser, "It can be read.").await;
    browser.type_into("main input[name=name]", ENTER).await;
    // The mistake is told beside its field, and what was typed stays.
    shows(&browser, "\"sometimes\"").await;
    browser.replace("main input[name=schedule]", "daily").await;
    browser.replace("main input[name=priority]", "7").await;
    browser.type_into("main input[name=name]", ENTER).await;
    eventually(PAGE_DEADLINE, || async {
        let sources = instance.json(&["source", "list"]);
        let first = &sources["items"][0];
        if first["name"] == "harbour" && first["priority"] == 7 {
            Ok(())
        } else {
            Err(format!("{sources}\n{}", browser.text().await))
        }
    })
    .await;
    browser.close().await;
}
