//! What sites and people get wrong: a clear error that names the thing, and the others go on.

use std::time::Duration;

use proto::ingestion::v1::{RunSourceRequest, TestSourceRequest};
use proto::{Failure, Reason};
use testkit::{Auth, Response, Site};

use crate::polling::rss;
use crate::world::{Setup, World};

/// Serves something bad and tells what a person reads about it.
async fn refusal(world: &World, path: &str, response: Response) -> String {
    world.site.serve(path, response);
    let source = world.add(path).await;
    let run = world.run(&source.id).await;
    assert_eq!(run.state, "failed", "{path}: {run:?}");
    let source = world.get(&source.id).await;
    assert_eq!((source.freshness.as_str(), &source.last_error), ("failing", &run.error));
    assert!(source.consecutive_failures >= 1);
    run.error
}

#[tokio::test]
async fn each_bad_answer_is_named_and_the_other_sources_go_on() {
    let world = World::start().await;
    let page = |body: &str| Response::ok(body.to_owned()).content_type("text/html");
    let login = "<html><head><title>Sign in</title></head><body><form>\
                 <input type=\"password\"></form></body></html>";
    let large = vec![b' '; 300_000];
    let table = [
        ("/page", page("<html><head><title>Welcome</title></head></html>"), "not a feed"),
        ("/login", page(login), "login page"),
        ("/empty", Response::ok(""), "not a feed"),
        ("/304", Response::status(304), "304"),
        ("/404", Response::status(404), "404"),
        ("/410", Response::status(410), "gone for good"),
        (
            "/401",
            rss(&[]).guarded_by(Auth::Bearer("secret".into())),
            "give the source a credential",
        ),
        ("/403", Response::status(403), "403"),
        ("/large", Response::ok(large), "200000 bytes"),
        ("/bomb", Response::gzip_bomb(50_000_000), "200000 bytes"),
        ("/endless", Response::endless(vec![b'x'; 10_000]), "200000 bytes"),
        ("/loop", Response::redirect("/loop"), "redirects more than"),
        ("/inside", Response::redirect("http://10.0.0.1/feed"), "10.0.0.1"),
        ("/metadata", Response::redirect("http://169.254.169.254/"), "not a public address"),
    ];
    for (path, response, says) in table {
        let error = refusal(&world, path, response).await;
        assert!(error.to_lowercase().contains(says), "{path}: {error}");
    }
    world.site.serve("/good", rss(&[("1", "Good", "text")]));
    let good = world.add("/good").await;
    assert_eq!(world.run(&good.id).await.state, "done");
    world.knowledge.document("Good").await;
    let dead = world.settled().await;
    assert_eq!(dead.len(), 14, "each died once, without a useless second try: {dead:?}");
}

#[tokio::test]
async fn bytes_that_are_no_utf8_are_read_all_the_same() {
    let world = World::start().await;
    let mut feed = b"<?xml version=\"1.0\" encoding=\"utf-8\"?><rss version=\"2.0\"><channel>\
                     <title>B</title><item><guid>1</guid><title>Caf\xE9</title>\
                     <content>x</content></item>"
        .to_vec();
    feed.extend_from_slice(b"<item><guid>2</guid><title>Next</title></item></channel></rss>");
    world.site.serve("/feed", Response::ok(feed));
    let source = world.add("/feed").await;
    assert_eq!(world.run(&source.id).await.found, 2);
    world.knowledge.document("Next").await;
}

#[tokio::test]
async fn a_server_that_fails_is_tried_again_and_the_next_tick_still_comes() {
    let world = World::start().await;
    world.site.serve_each("/feed", [Response::status(503), rss(&[("1", "First", "one")])]);
    let source = world.add("/feed").await;
    assert_eq!(world.run(&source.id).await.state, "failed");
    world.knowledge.document("First").await;
    let source = world.get(&source.id).await;
    assert_eq!((source.freshness.as_str(), source.last_error.as_str()), ("fresh", ""));

    // A source that died of its error is looked at again as if nothing had happened.
    world.site.serve("/gone", Response::status(404));
    let gone = world.add("/gone").await;
    for failures in 1..=2 {
        assert_eq!(world.run(&gone.id).await.state, "failed");
        world.settled().await;
        assert_eq!(world.get(&gone.id).await.consecutive_failures, failures);
    }
    world.site.serve("/gone", rss(&[("1", "Back", "one")]));
    assert_eq!(world.run(&gone.id).await.state, "done");
    assert_eq!(world.get(&gone.id).await.consecutive_failures, 0);
}

#[tokio::test]
async fn a_person_who_runs_a_source_does_not_wait_for_its_backoff() {
    let world = World::start().await;
    world.site.serve_each("/feed", [Response::status(500), rss(&[("1", "First", "one")])]);
    let source = world.add("/feed").await;
    assert_eq!(world.run(&source.id).await.state, "failed");
    sqlx::query("UPDATE jobs.job SET due_at = now() + interval '1 hour' WHERE group_id = $1::uuid")
        .bind(&source.id)
        .execute(&world.pool)
        .await
        .expect("put off");
    assert_eq!(world.run(&source.id).await.state, "done");
}

#[tokio::test]
async fn a_site_that_asks_for_patience_gets_it_from_every_source() {
    let world = World::start().await;
    let busy = Response::status(429).header("retry-after", "3600");
    world.site.serve("/busy", busy);
    world.site.serve("/other", rss(&[("1", "Other", "one")]));
    let (busy, other) = (world.add("/busy").await, world.add("/other").await);
    let run = world.run(&busy.id).await;
    assert!(run.error.contains("429"), "{run:?}");
    world.run_now(&other.id).await;
    let waits: (String, bool, i32) = testkit::eventually(crate::world::PATIENCE, || async {
        let row: Option<(String, bool, i32)> = sqlx::query_as(
            "SELECT state, due_at > now() + interval '50 minutes', attempt FROM jobs.job
             WHERE group_id = $1::uuid AND due_at > now() AND state = 'queued'",
        )
        .bind(&other.id)
        .fetch_optional(&world.pool)
        .await
        .expect("the ledger can be read");
        row.ok_or("it does not wait yet")
    })
    .await;
    assert_eq!(waits, ("queued".to_owned(), true, 0), "no attempt is charged");
    assert!(world.site.requests_for("/other").is_empty());

    let elsewhere = Site::start().await;
    elsewhere.serve("/feed", rss(&[("1", "Elsewhere", "one")]));
    let mut request = world.feed("/elsewhere");
    request.url = elsewhere.url("/feed");
    let source = world.create(request).await.expect("a good feed");
    assert_eq!(world.run(&source.id).await.state, "done");
}

#[tokio::test]
async fn requests_to_a_host_keep_their_distance_over_all_sources() {
    let mut setup = Setup::default();
    setup.config.host_interval_ms = 1_000;
    setup.config.host_concurrency = 1;
    let world = World::with(setup).await;
    let mut ids = Vec::new();
    let at = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    for n in 0..3 {
        let path = format!("/feed{n}");
        let seen = at.clone();
        let title = format!("T{n}");
        world.site.answer(&path, move |_| {
            seen.lock().expect("no panic").push(std::time::Instant::now());
            rss(&[("1", &title, "text")])
        });
        ids.push(world.add(&path).await.id);
    }
    for id in &ids {
        let request = RunSourceRequest { id: id.clone() };
        world.sources("operator").run_source(request).await.expect("it may run");
    }
    world.knowledge.holds(3).await;
    let at = at.lock().expect("no panic");
    for pair in at.windows(2) {
        let distance = pair[1] - pair[0];
        // A request may have been late on its way to the host.
        assert!(distance >= Duration::from_millis(500), "{distance:?}");
    }
}

#[tokio::test]
async fn a_test_of_a_source_stores_nothing_and_tells_what_it_saw() {
    let world = World::start().await;
    world.site.serve("/feed", rss(&[("1", "First", "one"), ("2", "Second", "two")]));
    world.site.serve("/page", Response::ok("<html><title>Hello</title></html>"));
    let probe = |url: String| {
        let mut sources = world.sources("operator");
        let request = TestSourceRequest {
            kind: "feed".into(),
            url,
            project_id: world.project.to_string(),
            ..TestSourceRequest::default()
        };
        async move { sources.test_source(request).await.map_err(|it| Failure::from_status(&it)) }
    };
    let answer = probe(world.site.url("/feed")).await.expect("a feed").into_inner();
    assert!(answer.ok);
    assert_eq!((answer.title.as_str(), answer.items), ("Blog", 2));
    assert_eq!(answer.samples, ["First", "Second"]);
    for (url, reason) in [
        (world.site.url("/page"), Reason::NotAFeed),
        (world.site.url("/none"), Reason::FetchFailed),
        ("http://10.0.0.1/".to_owned(), Reason::AddressForbidden),
        ("http://[::1]/".to_owned(), Reason::AddressForbidden),
        ("gopher://a.example/".to_owned(), Reason::InvalidInput),
    ] {
        assert_eq!(probe(url.clone()).await.expect_err("refused").reason, reason, "{url}");
    }
    let request = TestSourceRequest {
        kind: "feed".into(),
        url: world.site.url("/feed"),
        ..TestSourceRequest::default()
    };
    let nowhere = world.sources("operator").test_source(request.clone()).await;
    assert!(nowhere.expect("a test belongs to no project").into_inner().ok);
    let refused = world.sources("viewer").test_source(request).await.expect_err("a viewer");
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    assert_eq!(world.knowledge.submitted(), []);
}

#[tokio::test]
async fn patience_is_kept_with_the_host_that_asked_for_it() {
    let world = World::start().await;
    let other = Site::start_at("127.0.0.2".parse().expect("an address")).await;
    other.serve("/feed", Response::status(429).header("retry-after", "3600"));
    world.site.serve("/moved", Response::redirect(&other.url("/feed")));
    let source = world.add("/moved").await;
    assert_eq!(world.run(&source.id).await.state, "failed");
    let held: Vec<String> =
        sqlx::query_scalar("SELECT name FROM ingestion.host WHERE hold_until > now()")
            .fetch_all(&world.pool)
            .await
            .expect("read");
    assert_eq!(held, [other.url.trim_start_matches("http://")]);
}
