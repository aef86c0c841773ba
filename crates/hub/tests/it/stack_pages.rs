//! The pages of a project's stack, as a browser without scripts sees them.

use tonic::Code;

use crate::{fake::orchestrator::line, stand::Stand};

/// The pages of a project, after its address.
const PAGES: [&str; 7] =
    ["", "/logs", "/resources", "/operations", "/failures", "/secrets", "/security"];

async fn stand() -> (Stand, String, String) {
    let stand = Stand::start().await;
    let project = stand.project("p").await;
    let operation = stand.fake.has_stack(&project);
    (stand, project, operation)
}

#[tokio::test]
async fn a_stack_shows_what_each_service_does_and_why() {
    let (stand, project, _) = stand().await;
    let browser = stand.browser("viewer", &["p"]).await;
    let page = browser.get("/projects/p").await.expect(200).text;
    for text in [
        "shibboleth/web:1",
        "127.0.0.1:8080-&#62;80/tcp",
        "GET / answered &#60;b&#62;503&#60;/b&#62;",
        "took 0.012s",
        "data-live=\"/api/projects/p/health/events\"",
        "</span> ready</span>",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("/stack/stop") && !page.contains("/services/web/restart"));
    stand.fake.fails(&project, "CRASH_LOOP");
    let page = browser.get("/projects/p").await.expect(200).text;
    for text in ["CRASH_LOOP", "its main process ended", "see its log", "<dd>137</dd>"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let list = browser.get("/projects").await.expect(200).text;
    assert!(list.contains("href=\"/projects/p\"") && list.contains("href=\"/projects/p/logs\""));
}

#[tokio::test]
async fn a_stacks_buttons_lead_to_their_operation() {
    let (stand, ..) = stand().await;
    let browser = stand.browser("operator", &["p"]).await;
    for (path, title) in [
        ("stack/start", "Start the stack"),
        ("stack/stop", "Stop the stack"),
        ("stack/restart", "Restart the stack"),
        ("services/web/restart", "Restart web"),
    ] {
        let path = format!("/projects/p/{path}");
        let page = browser.submit_and_follow(&path, &[]).await.expect(200).text;
        assert!(page.contains(&format!("<h1 class=\"break\">{title}</h1>")), "{page}");
        assert!(page.contains("create the container") && page.contains("data-event=\"operation\""));
    }
    let list = browser.get("/projects/p/operations").await.expect(200).text;
    assert!(list.contains("Restart web") && list.contains("succeeded"), "{list}");
    let remove = async |fields: &[(&str, &str)]| {
        browser.submit_and_follow("/projects/p/stack/remove", fields).await.text
    };
    assert!(remove(&[("confirm", "q")]).await.contains("Nothing was removed"));
    assert!(stand.fake.callers_of("remove_stack").is_empty());
    let fields = [("confirm", "p"), ("volumes", "true")];
    assert!(remove(&fields).await.contains("Remove the stack"));
    let gone = browser.submit_and_follow("/projects/p/services/db/restart", &[]).await.text;
    assert!(gone.contains("there is no service db"), "{gone}");
    browser.submit("/projects/p/stack/explode", &[]).await.expect(404);
    browser.get("/projects/p/stack/start").await.expect(303);
}

#[tokio::test]
async fn an_operation_that_has_ended_is_no_longer_followed() {
    let (stand, _, operation) = stand().await;
    let browser = stand.browser("viewer", &["p"]).await;
    let page = browser.get(&format!("/operations/{operation}")).await.expect(200).text;
    assert!(page.contains("</span> succeeded</span>") && !page.contains("data-live"), "{page}");
    stand.project("q").await;
    let other = stand.browser("viewer", &["q"]).await;
    other.get(&format!("/operations/{operation}")).await.expect(404);
}

#[tokio::test]
async fn a_log_shows_colours_marks_and_links_and_runs_nothing() {
    let (stand, ..) = stand().await;
    let browser = stand.browser("viewer", &["p"]).await;
    let page = browser.get("/projects/p/logs?text=GET").await.expect(200).text;
    for text in [
        "<span class=\"bold fg-1\">red</span> &lt;script&gt;alert(1)&lt;/script&gt;",
        "<mark>GET</mark> /shibboleth 200",
        "— started with shibboleth/web:1",
        "id=\"web:3\"",
        "&amp;at=web%3A3#web:3",
        "data-last=\"web:3\"",
        "logs?level=&amp;tail=200&amp;format=text",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("<script>alert"));
    let only = browser.get("/projects/p/logs?text=GET&mode=filter").await.expect(200).text;
    assert!(only.contains("web:3") && !only.contains("web:2"), "{only}");
    let none = browser.get("/projects/p/logs?service=db").await.expect(200).text;
    assert!(none.contains("No line is kept that matches."), "{none}");

    let log = &stand.fake.0.held.log;
    log.send_modify(|log| log.extend((4..200).map(|n| line(n, &format!("line {n}")))));
    let at = browser.get("/projects/p/logs?at=web:100").await.expect(200).text;
    assert!(at.contains("id=\"web:51\"") && !at.contains("id=\"web:50\""), "what was before it");
    assert!(!at.contains("data-log=") && at.contains("Show the newest"), "and it does not follow");
    let few = browser.get("/projects/p/logs?tail=2").await.expect(200).text;
    assert_eq!(few.matches("<li id=").count(), 2);
    browser.get("/projects/p/logs?tail=many").await.expect(400);
}

#[tokio::test]
async fn usage_failures_and_findings_are_told() {
    let (stand, ..) = stand().await;
    let browser = stand.browser("operator", &["p"]).await;
    let usage = browser.get("/projects/p/resources").await.expect(200).text;
    for text in ["64 MiB", "of 128 MiB", "peak 96 MiB", "250", "of 1000", "class=\"peak\""] {
        assert!(usage.contains(text), "{text}: {usage}");
    }
    let failures = browser.get("/projects/p/failures").await.expect(200).text;
    for text in [
        "OUT_OF_MEMORY",
        "raise its memory limit",
        "<dd>137</dd>",
        "<span class=\"fg-3\">allocating</span> &lt;b&gt;more&lt;/b&gt;",
    ] {
        assert!(failures.contains(text), "{text}: {failures}");
    }
    let none = browser.get("/projects/p/failures?service=db").await.expect(200).text;
    assert!(none.contains("No service has failed"), "{none}");
    let security = browser.get("/projects/p/security").await.expect(200).text;
    for text in ["capabilities", "</span> broken</span>", "</span> findings</span>", "CVE-2026-1"] {
        assert!(security.contains(text), "{text}: {security}");
    }
    let scanned = browser.submit_and_follow("/projects/p/security", &[]).await.text;
    assert!(scanned.contains("The images were scanned."), "{scanned}");
}

#[tokio::test]
async fn a_secret_is_put_and_deleted_with_forms_and_never_shown() {
    let (stand, project, _) = stand().await;
    let browser = stand.browser("operator", &["p"]).await;
    let put = [("name", "token"), ("value", "open\r\nsesame\r\n")];
    let page = browser.submit_and_follow("/projects/p/secrets", &put).await.expect(200).text;
    assert!(page.contains("token is kept, version 1.") && !page.contains("sesame"), "{page}");
    let key = (project, "token".to_owned());
    let held = stand.fake.0.held.secrets.lock().unwrap().get(&key).cloned();
    assert_eq!(held, Some((1, b"open\nsesame\n".to_vec())));
    let wrong = [("name", "a b"), ("value", "open sesame")];
    let page = browser.submit("/projects/p/secrets", &wrong).await.expect(422).text;
    assert!(page.contains("id=\"name-error\"") && !page.contains("sesame"), "{page}");
    let chosen = browser.get("/projects/p/secrets?name=token").await.expect(200).text;
    assert!(chosen.contains("name=\"name\" value=\"token\""), "{chosen}");
    let page = browser.submit_and_follow("/projects/p/secrets/token/delete", &[]).await.text;
    assert!(page.contains("token is deleted."), "{page}");
    let viewer = stand.browser("viewer", &["p"]).await;
    let page = viewer.get("/projects/p/secrets").await.expect(200).text;
    assert!(page.contains("<code>password</code>") && !page.contains("Put a secret"), "{page}");
    assert!(!page.contains("swordfish") && !page.contains("/delete"));
}

#[tokio::test]
async fn a_page_stays_useful_without_a_stack_and_without_an_orchestrator() {
    let (stand, ..) = stand().await;
    stand.project("bare").await;
    let browser = stand.admin_browser().await;
    for page in PAGES {
        let path = format!("/projects/bare{page}");
        let text = browser.get(&path).await.expect(200).text;
        assert!(!text.contains("data-live="), "{path}: there is nothing to follow");
        if ["", "/resources", "/security"].contains(&page) {
            assert!(text.contains("No stack yet"), "{path}: {text}");
        }
    }
    for (code, says) in [(Code::Unavailable, "does not answer"), (Code::Unimplemented, "cannot do")]
    {
        stand.fake.orchestrator_refuses(Some(code));
        for page in PAGES {
            let path = format!("/projects/p{page}");
            let text = browser.get(&path).await.expect(200).text;
            assert!(
                text.contains(says) && text.contains("aria-label=\"Project\""),
                "{path}: {text}"
            );
            assert!(!text.contains("data-live=") && !text.contains("data-log="), "{path}");
        }
    }
    let refused = browser.submit_and_follow("/projects/p/stack/stop", &[]).await.expect(200).text;
    assert!(refused.contains("cannot do this"), "{refused}");
}

#[tokio::test]
async fn another_projects_pages_do_not_exist() {
    let (stand, ..) = stand().await;
    stand.project("other").await;
    let browser = stand.browser("operator", &["other"]).await;
    for page in PAGES {
        browser.get(&format!("/projects/p{page}")).await.expect(404);
    }
    let refused = browser.submit("/projects/p/stack/stop", &[]).await.expect(404).text;
    assert!(!refused.contains("shibboleth"));
    let viewer = stand.browser("viewer", &["p"]).await;
    let refused = viewer.submit_and_follow("/projects/p/stack/stop", &[]).await.text;
    assert!(refused.contains("this needs operator"), "{refused}");
    assert!(stand.fake.callers_of("stop_stack").is_empty());
}
