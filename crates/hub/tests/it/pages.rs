//! Pages as a browser without scripts sees them.

use reqwest::Method;

use crate::{
    jobs::{dead_job, job},
    stand::{Stand, send},
};

#[tokio::test]
async fn every_page_renders_and_holds_no_inline_code() {
    let stand = Stand::start().await;
    let project = stand.project("p").await;
    let source = stand.feed("p", "news").await;
    let document = stand.document(&project, "Crabs");
    let operation = stand.fake.has_stack(&project);
    let waiting = job(&stand, &project, "a job").await;
    dead_job(&stand, &project, "a dead job").await;
    let browser = stand.admin_browser().await;
    let users = stand.get(&stand.admin, "/api/users").await.expect(200).json();
    let user = users["items"][0]["id"].as_str().unwrap().to_owned();
    let pages = [
        "/",
        "/search",
        "/search?q=ferris&explain=true",
        "/documents",
        "/sources",
        "/sources/new",
        "/jobs",
        "/jobs?state=dead&kind=test.idle&project=p",
        "/dead-letters",
        "/dead-letters/confirm?action=retry",
        "/projects",
        "/projects/p",
        "/projects/p/logs",
        "/projects/p/resources",
        "/projects/p/operations",
        "/projects/p/failures",
        "/projects/p/secrets",
        "/projects/p/security",
        "/users",
        "/tokens",
        "/audit",
        "/api/docs",
        "/help",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([
        format!("/documents/{document}"),
        format!("/sources/{source}"),
        format!("/sources/{source}/edit"),
        format!("/jobs/{waiting}"),
        format!("/operations/{operation}"),
        format!("/users/{user}"),
    ]);
    for path in pages {
        let answer = browser.get(&path).await.expect(200);
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{path}");
        let page = answer.text;
        assert!(page.contains("</html>") && page.contains("<h1"), "{path}");
        for inline in ["<style", " style=", " onclick=", " onload=", "javascript:"] {
            assert!(!page.contains(inline), "{path} holds {inline}");
        }
        let scripts: Vec<&str> = page.split("<script").skip(1).collect();
        assert_eq!(scripts.len(), 1, "{path} has its one file of script");
        assert!(scripts[0].starts_with(" src=\"/assets/app.js\""), "{path}");
        for form in page.split("<form").skip(1).filter(|form| form.contains("method=\"post\"")) {
            assert!(form.split("</form>").next().unwrap().contains("name=\"csrf\""), "{path}");
        }
    }
}

#[tokio::test]
async fn markup_from_outside_stays_text() {
    let stand = Stand::start().await;
    let project = stand.project("p").await;
    let attack = "<script>alert(1)</script>";
    let source = stand.feed("p", attack).await;
    let document = stand.document(&project, attack);
    let waiting = job(&stand, &project, attack).await;
    let browser = stand.admin_browser().await;
    let pages = [
        "/".to_owned(),
        "/search?q=%3Cscript%3Ealert(1)%3C/script%3E".to_owned(),
        "/documents".to_owned(),
        "/sources".to_owned(),
        "/jobs".to_owned(),
        "/audit".to_owned(),
        format!("/documents/{document}"),
        format!("/sources/{source}"),
        format!("/sources/{source}/edit"),
        format!("/jobs/{waiting}"),
    ];
    for path in pages {
        let page = browser.get(&path).await.expect(200).text;
        assert!(!page.contains(attack), "{path}");
        assert!(!page.contains("<script>walk"), "{path}");
    }
    let page = browser.get("/search?q=ferris").await.expect(200).text;
    assert!(page.contains("<mark>Ferris</mark> is a &#60;b&#62;crab&#60;/b&#62; &#38; friend"));
}

#[tokio::test]
async fn a_source_is_added_with_the_form_alone() {
    let stand = Stand::start().await;
    let browser = stand.browser("operator", &[]).await;
    let fields = |schedule| {
        [
            ("kind", "feed"),
            ("url", "https://a.example/feed.xml"),
            ("project", "web"),
            ("name", "My news"),
            ("priority", "7"),
            ("schedule", schedule),
            ("zone", ""),
        ]
    };
    let wrong = browser.submit("/sources", &fields("every now and then")).await.expect(422).text;
    assert!(wrong.contains("id=\"schedule-error\""), "{wrong}");
    assert_eq!(wrong.matches("is not a schedule").count(), 1, "it is told once: {wrong}");
    assert!(wrong.contains("value=\"My news\""), "what was typed stays");
    assert!(wrong.contains("aria-describedby=\"schedule-error\""));
    let tested = browser.submit("/sources/test", &fields("hourly")).await.expect(200).text;
    assert!(tested.contains("It can be read.") && tested.contains("12 items"));
    let page = browser.submit_and_follow("/sources", &fields("hourly")).await.expect(200).text;
    assert!(page.contains("My news is added."));
    assert!(page.contains("Next three runs"));
    let typed = [
        ("kind", "feed"),
        ("url", "https://b.example/f"),
        ("project", "web"),
        ("priority", "high"),
    ];
    let wrong = browser.submit("/sources", &typed).await.expect(422).text;
    assert!(wrong.contains("id=\"priority-error\"") && wrong.contains("from 1 to 10"));
}

#[tokio::test]
async fn a_secret_is_never_dropped_in_silence() {
    let stand = Stand::start().await;
    let browser = stand.browser("operator", &[]).await;
    let fields = |credential| {
        [
            ("kind", "feed"),
            ("url", "https://a.example/feed.xml"),
            ("project", "web"),
            ("priority", "5"),
            ("credential", credential),
            ("credential_name", "ann"),
            ("credential_secret", "hidden-word"),
        ]
    };
    let dropped = browser.submit("/sources", &fields("")).await.expect(422).text;
    assert!(dropped.contains("choose the kind of credential"), "{dropped}");
    let tested = browser.submit("/sources/test", &fields("basic")).await.expect(200).text;
    assert!(tested.contains("key again:") && !tested.contains("hidden-word"), "{tested}");
    let added = browser.submit("/sources", &fields("basic")).await.expect(303);
    let source = added.header("location").to_owned();
    let moved = [
        ("url", "https://b.example/feed.xml"),
        ("name", "news"),
        ("priority", "5"),
        ("credential", ""),
    ];
    let moved = browser.submit(&source, &moved).await.expect(422).text;
    let (before, _) = moved.split_once("give one for the new address").expect("it is told");
    assert!(before.contains("<details open><summary>Credential"), "and can be seen");
}

#[tokio::test]
async fn a_form_sets_how_a_feed_is_read() {
    let stand = Stand::start().await;
    let browser = stand.browser("operator", &[]).await;
    let fields = |items| {
        [
            ("kind", "feed"),
            ("url", "https://a.example/feed.xml"),
            ("project", "web"),
            ("first_import_items", items),
            ("summaries_only", "true"),
            ("paused", "true"),
        ]
    };
    let wrong = browser.submit("/sources", &fields("many")).await.expect(422).text;
    assert!(wrong.contains("id=\"first_import_items-error\""), "{wrong}");
    browser.submit("/sources", &fields("7")).await.expect(303);
    let sent = stand.fake.0.created.lock().unwrap()[0].clone();
    let feed = sent.feed.unwrap();
    assert_eq!((feed.first_import_items, feed.full_text, sent.paused), (7, Some(false), true));
}

#[tokio::test]
async fn an_address_of_a_form_opened_by_hand_leads_on() {
    let stand = Stand::start().await;
    stand.project("p").await;
    let id = stand.feed("p", "news").await;
    let browser = stand.admin_browser().await;
    let back = browser.get(&format!("/sources/{id}/test")).await.expect(303);
    assert_eq!(back.header("location"), format!("/sources/{id}"));
    let back = browser.get("/sources/test").await.expect(303);
    assert_eq!(back.header("location"), "/sources/new");
    let page = browser.get("/projects/delete").await.expect(405).text;
    assert!(page.contains("does not take GET") && page.contains("</html>"), "{page}");
}

#[tokio::test]
async fn a_sources_buttons_work_without_scripts() {
    let stand = Stand::start().await;
    stand.project("p").await;
    let id = stand.feed("p", "news").await;
    let browser = stand.admin_browser().await;
    let act = async |act: &str, fields: &[(&str, &str)]| {
        browser.submit_and_follow(&format!("/sources/{id}/{act}"), fields).await.text
    };
    assert!(act("pause", &[]).await.contains("no longer runs by itself"));
    assert!(act("resume", &[]).await.contains("Resumed."));
    assert!(act("priority", &[("priority", "9")]).await.contains("the next search goes by it"));
    assert_eq!(stand.fake.0.sources.lock().unwrap()[0].priority, 9);
    browser.submit(&format!("/sources/{id}/run"), &[]).await.expect(303);
    let tested = browser.submit(&format!("/sources/{id}/test"), &[]).await.expect(200).text;
    assert!(tested.contains("It can be read."));
    let edit = [
        ("name", "New name"),
        ("url", "https://c.example/f"),
        ("priority", "2"),
        ("schedule", ""),
        ("zone", ""),
    ];
    let saved = browser.submit_and_follow(&format!("/sources/{id}"), &edit).await.expect(200).text;
    assert!(
        saved.contains("Saved.") && saved.contains("New name") && saved.contains("by hand only")
    );
    assert!(act("delete", &[("confirm", "wrong")]).await.contains("Nothing was deleted"));
    assert!(act("delete", &[("confirm", "New name")]).await.contains("is being deleted"));
}

#[tokio::test]
async fn dead_letters_are_retried_after_a_count() {
    let stand = Stand::start().await;
    let project = stand.project("p").await;
    for n in 0..3 {
        dead_job(&stand, &project, &format!("job {n}")).await;
    }
    let browser = stand.admin_browser().await;
    let list = browser.get("/dead-letters").await.expect(200).text;
    assert!(list.contains("a.example answered 503"));
    let query = "action=retry&kind=test.idle&signature=%2A%20answered%20503";
    let page = browser.get(&format!("/dead-letters/confirm?{query}")).await.expect(200).text;
    assert!(page.contains("Retry 3 jobs"));
    let fields = [("kind", "test.idle"), ("signature", "* answered 503"), ("project", "")];
    let done = browser.submit_and_follow("/dead-letters/retry", &fields).await.expect(200).text;
    assert!(done.contains("3 jobs are queued again.") && done.contains("Nothing is dead"));
}

#[tokio::test]
async fn pages_warn_when_search_knows_words_only() {
    let stand = Stand::start().await;
    let browser = stand.browser("viewer", &[]).await;
    let overview = browser.get("/").await.expect(200).text;
    assert!(overview.contains("hash-v1") && overview.contains("words only"));
    assert!(overview.contains("12,345"));
    assert!(browser.get("/search?q=x").await.expect(200).text.contains("knows words only"));
}

#[tokio::test]
async fn assets_are_small_and_asked_for_again_by_their_tag() {
    let stand = Stand::start().await;
    for (path, kind) in [
        ("/assets/app.css", "text/css; charset=utf-8"),
        ("/assets/app.js", "text/javascript; charset=utf-8"),
        ("/assets/live.js", "text/javascript; charset=utf-8"),
        ("/assets/log.js", "text/javascript; charset=utf-8"),
        ("/assets/favicon.svg", "image/svg+xml"),
        ("/favicon.ico", "image/svg+xml"),
    ] {
        let asset = send(stand.request(Method::GET, path)).await.expect(200);
        assert_eq!(asset.header("content-type"), kind);
        assert!(asset.text.len() < 25_000, "{path} has {} bytes", asset.text.len());
        let etag = asset.header("etag").to_owned();
        let again = stand.request(Method::GET, path).header("if-none-match", etag);
        send(again).await.expect(304);
    }
    send(stand.request(Method::GET, "/assets/../Cargo.toml")).await.expect(404);
    send(stand.request(Method::GET, "/assets/nothing.js")).await.expect(404);
}

#[tokio::test]
async fn the_theme_is_remembered() {
    let stand = Stand::start().await;
    let browser = stand.admin_browser().await;
    let answer = browser.submit("/theme", &[("theme", "dark")]).await.expect(303);
    assert_eq!(answer.cookie("cc_theme").as_deref(), Some("dark"));
    let cookie = format!("cc_session={}; cc_theme=dark", browser.cookie);
    let page = send(stand.request(Method::GET, "/help").header("cookie", cookie)).await.expect(200);
    assert!(page.text.contains("data-theme=\"dark\""));
    let answer = browser.submit("/theme", &[("theme", "auto")]).await.expect(303);
    assert_eq!(answer.cookie("cc_theme").as_deref(), Some(""));
}
