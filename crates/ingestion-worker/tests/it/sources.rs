//! Making, editing, listing and removing sources, and who may.

use proto::ingestion::v1::{
    CreateSourceRequest, DeleteSourceRequest, GetSourceRequest, ListSourcesRequest,
    PreviewScheduleRequest, RunSourceRequest, Schedule, UpdateSourceRequest,
};
use proto::{Failure, Reason};
use tonic::Code;

use crate::polling::rss;
use crate::world::World;

fn schedule(expression: &str, zone: &str) -> Option<Schedule> {
    Some(Schedule { expression: expression.to_owned(), zone: zone.to_owned() })
}

/// Edits a source as an operator.
async fn edit(world: &World, request: UpdateSourceRequest) -> Result<i64, Failure> {
    let edited = world.sources("operator").update_source(request).await;
    edited.map(|it| it.into_inner().version).map_err(|status| Failure::from_status(&status))
}

async fn scheduled(world: &World, id: &str) -> bool {
    let key = format!("source:{id}");
    let row = jobs::schedule::get(&world.pool, &key).await.expect("the ledger can be read");
    row.is_some_and(|it| !it.paused)
}

#[tokio::test]
async fn each_mistake_is_refused_by_field_with_its_limit_and_a_remedy() {
    let world = World::start().await;
    let good = || CreateSourceRequest { name: "Blog".into(), ..world.feed("/feed") };
    let named = |name: &str| CreateSourceRequest { name: name.into(), ..good() };
    let at = |url: &str| CreateSourceRequest { url: url.into(), ..good() };
    let of = |kind: &str| CreateSourceRequest { kind: kind.into(), ..good() };
    let every = |expression: &str, zone: &str| CreateSourceRequest {
        schedule: schedule(expression, zone),
        ..good()
    };
    let with = |priority: u32| CreateSourceRequest { priority: Some(priority), ..good() };
    let manual = CreateSourceRequest { kind: "manual".into(), ..good() };
    let nameless =
        CreateSourceRequest { name: String::new(), url: String::new(), ..manual.clone() };
    let table = [
        (nameless, "name", "1 to 200"),
        (named("a\nb"), "name", "1 to 200"),
        (named(&"x".repeat(201)), "name", "1 to 200"),
        (with(0), "priority", "1 to 10"),
        (with(11), "priority", "1 to 10"),
        (of("docs"), "kind", "feed and manual"),
        (of(""), "kind", "choose feed"),
        (every("61 * * * *", ""), "schedule", "*/15 * * * *"),
        (every("often", ""), "schedule", "hourly"),
        (every("hourly", "Mars/Olympus"), "zone", "Europe/Berlin"),
        (at("feed.xml"), "url", "https://"),
        (at("file:///etc/passwd"), "url", "http and https"),
        (at("https://u:p@a.example/"), "url", "credential"),
        (manual, "url", "manual"),
        (CreateSourceRequest { project_id: "p".into(), ..good() }, "project_id", "UUID"),
    ];
    for (request, field, says) in table {
        let failure = world.create(request).await.expect_err(says);
        assert_eq!(failure.reason, Reason::InvalidInput, "{failure}");
        let fields: Vec<&str> = failure.violations.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(fields, [field], "{failure}");
        assert!(failure.message.contains(says), "{failure}");
    }
    let both = world.create(every("often", "Mars/Olympus")).await.expect_err("neither");
    let fields: Vec<&str> = both.violations.iter().map(|it| it.field.as_str()).collect();
    assert_eq!(fields, ["zone", "schedule"], "{both}");
    for url in ["http://10.0.0.1/", "http://169.254.169.254/", "http://[fe80::1]/", "http://0/"] {
        let failure = world.create(at(url)).await.expect_err("not public");
        assert_eq!(failure.reason, Reason::AddressForbidden, "{url}: {failure}");
    }
}

#[tokio::test]
async fn a_name_or_url_that_is_taken_names_the_other_source() {
    let world = World::start().await;
    let first = world.add("/feed").await;
    let mut request = world.feed("/feed");
    request.name = "another name".into();
    request.url.push_str("#fragment");
    let failure = world.create(request).await.expect_err("the same URL");
    assert_eq!(failure.reason, Reason::AlreadyExists);
    assert!(failure.message.contains(&first.id) && failure.message.contains("/feed"), "{failure}");
    assert_eq!(failure.metadata["source_id"], first.id);
    let mut request = world.feed("/feed");
    request.url = world.site.url("/second");
    let failure = world.create(request).await.expect_err("the same name");
    assert_eq!(
        (failure.reason, failure.violations[0].field.as_str()),
        (Reason::AlreadyExists, "name")
    );

    let second = world.add("/second").await;
    let name = Some("/feed".to_owned());
    let request = UpdateSourceRequest { id: second.id, name, ..UpdateSourceRequest::default() };
    let failure = edit(&world, request).await.expect_err("the same name");
    assert_eq!(failure.reason, Reason::AlreadyExists);
}

#[tokio::test]
async fn a_feed_that_nobody_names_has_the_name_of_its_address() {
    let world = World::start().await;
    let mut request = world.feed("/feed");
    request.name = " ".into();
    request.url.push_str("?key=secret");
    let source = world.create(request).await.expect("named");
    assert_eq!(source.name, world.site.url("/feed").trim_start_matches("http://"));
}

#[tokio::test]
async fn ranking_hears_of_an_edit_before_it_is_answered() {
    let world = World::start().await;
    let source = world.add("/feed").await;
    let id = source.id.clone();
    let made = world.knowledge.ranks();
    assert_eq!((made[0].priority, made[0].enabled, made[0].version), (5, true, 1));
    let request =
        UpdateSourceRequest { id: id.clone(), priority: Some(9), ..UpdateSourceRequest::default() };
    assert_eq!(edit(&world, request).await, Ok(2));
    let told = world.knowledge.ranks();
    assert!(
        told.iter().any(|it| (it.priority, it.enabled, it.version) == (9, true, 2)),
        "{told:?}"
    );
    let request = UpdateSourceRequest {
        id: id.clone(),
        paused: Some(true),
        ..UpdateSourceRequest::default()
    };
    assert_eq!(edit(&world, request).await, Ok(3));
    let told = world.knowledge.ranks();
    assert!(told.iter().any(|it| (it.enabled, it.version) == (true, 3)), "{told:?}");
    let request = UpdateSourceRequest { id, priority: Some(0), ..UpdateSourceRequest::default() };
    assert_eq!(edit(&world, request).await.expect_err("0").reason, Reason::InvalidInput);
}

#[tokio::test]
async fn a_pause_stops_the_clock_but_not_a_persons_hand() {
    let world = World::start().await;
    world.site.serve("/feed", rss(&[("1", "First", "one")]));
    let mut request = world.feed("/feed");
    request.schedule = schedule("*/15 * * * *", "Europe/Berlin");
    let source = world.create(request).await.expect("a good feed");
    assert!(scheduled(&world, &source.id).await);
    assert!(!source.schedule_text.is_empty());
    let pause = |paused| UpdateSourceRequest {
        id: source.id.clone(),
        paused: Some(paused),
        ..UpdateSourceRequest::default()
    };
    edit(&world, pause(true)).await.expect("paused");
    assert!(!scheduled(&world, &source.id).await);
    let paused = world.get(&source.id).await;
    assert_eq!((paused.freshness.as_str(), paused.next_runs.len()), ("paused", 0));
    assert_eq!(world.run(&source.id).await.state, "done");
    edit(&world, pause(false)).await.expect("resumed");
    assert!(scheduled(&world, &source.id).await);
    assert_eq!(world.get(&source.id).await.next_runs.len(), 3);
    let by_hand = UpdateSourceRequest {
        id: source.id.clone(),
        schedule: schedule("", ""),
        ..UpdateSourceRequest::default()
    };
    edit(&world, by_hand).await.expect("edited");
    assert!(!scheduled(&world, &source.id).await);
    assert_eq!(world.get(&source.id).await.schedule_text, "by hand only");
}

#[tokio::test]
async fn a_source_is_not_overdue_by_the_time_before_its_schedule() {
    let world = World::start().await;
    world.site.serve("/feed", rss(&[("1", "First", "one")]));
    let mut request = world.feed("/feed");
    request.schedule = schedule("hourly", "");
    let source = world.create(request).await.expect("a good feed");
    world.run(&source.id).await;
    let freshness = || async { world.get(&source.id).await.freshness };
    let age = || async {
        sqlx::query(
            "UPDATE ingestion.source SET last_success_at = now() - interval '30 days',
                 scheduled_at = now() - interval '30 days'",
        )
        .execute(&world.pool)
        .await
        .expect("aged");
    };
    age().await;
    assert_eq!(freshness().await, "overdue");
    let unscheduled = UpdateSourceRequest {
        id: source.id.clone(),
        priority: Some(6),
        ..UpdateSourceRequest::default()
    };
    edit(&world, unscheduled.clone()).await.expect("edited");
    assert_eq!(freshness().await, "overdue", "its schedule is the same");
    let other = schedule("12 * * * *", "");
    let rescheduled = UpdateSourceRequest { schedule: other, ..unscheduled.clone() };
    edit(&world, rescheduled).await.expect("edited");
    assert_eq!(freshness().await, "fresh");
    age().await;
    for paused in [true, false] {
        let pause = UpdateSourceRequest { paused: Some(paused), ..unscheduled.clone() };
        edit(&world, pause).await.expect("edited");
    }
    assert_eq!(freshness().await, "fresh", "it was asleep");
}

#[tokio::test]
async fn lists_are_narrowed_and_come_in_pages() {
    let world = World::start().await;
    for path in ["/a", "/b", "/c"] {
        world.site.serve(path, rss(&[("1", path, "text")]));
        world.add(path).await;
    }
    let list = |freshness: &str, page_size, page_token: &str| {
        let mut sources = world.sources("everyone");
        let request = ListSourcesRequest {
            freshness: freshness.to_owned(),
            page_size,
            page_token: page_token.to_owned(),
            ..ListSourcesRequest::default()
        };
        async move { sources.list_sources(request).await.map(tonic::Response::into_inner) }
    };
    let first = list("", 2, "").await.expect("listed");
    let names: Vec<&str> = first.sources.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["/a", "/b"]);
    let rest = list("", 2, &first.next_page_token).await.expect("listed");
    assert_eq!((rest.sources.len(), rest.next_page_token.as_str()), (1, ""));
    world.run(&first.sources[1].id).await;
    let fresh = list("fresh", 0, "").await.expect("listed");
    assert_eq!((fresh.sources.len(), fresh.sources[0].name.as_str()), (1, "/b"));
    assert_eq!(list("stale", 0, "").await.expect_err("refused").code(), Code::InvalidArgument);
}

#[tokio::test]
async fn an_outsider_sees_nothing_and_a_viewer_changes_nothing() {
    let world = World::start().await;
    let source = world.add("/feed").await;
    let id = source.id.clone();
    for (token, expected) in [
        ("stranger", Code::NotFound),
        ("viewer", Code::PermissionDenied),
        ("nobody", Code::Unauthenticated),
    ] {
        let mut sources = world.sources(token);
        let id = id.clone();
        let refusals = [
            sources.create_source(world.feed("/x")).await.map(drop),
            sources.run_source(RunSourceRequest { id: id.clone() }).await.map(drop),
            sources.delete_source(DeleteSourceRequest { id: id.clone() }).await.map(drop),
            sources
                .update_source(UpdateSourceRequest { id, ..UpdateSourceRequest::default() })
                .await
                .map(drop),
        ];
        for refusal in refusals {
            assert_eq!(refusal.expect_err(token).code(), expected, "{token}");
        }
    }
    let mut stranger = world.sources("stranger");
    let refused = stranger.get_source(GetSourceRequest { id: id.clone() }).await;
    assert_eq!(refused.expect_err("not theirs").code(), Code::NotFound);
    let asked = ListSourcesRequest {
        project_ids: vec![world.project.to_string()],
        ..ListSourcesRequest::default()
    };
    let listed = stranger.list_sources(asked).await.expect("listed").into_inner();
    assert!(listed.sources.is_empty());
    let unknown = GetSourceRequest { id: proto::SourceId::generate().to_string() };
    let refused = world.sources("viewer").get_source(unknown).await.expect_err("unknown");
    assert_eq!(refused.code(), Code::NotFound);
}

#[tokio::test]
async fn a_schedule_is_told_in_words_and_times() {
    let world = World::start().await;
    let preview = |expression: &str, zone: &str, count| {
        let mut sources = world.sources("viewer");
        let request = PreviewScheduleRequest { schedule: schedule(expression, zone), count };
        async move { sources.preview_schedule(request).await.map(tonic::Response::into_inner) }
    };
    let answer = preview("30 6 * * 1-5", "Europe/Berlin", 5).await.expect("a schedule");
    assert_eq!(answer.next_runs.len(), 5);
    assert!(!answer.text.is_empty());
    assert_eq!(preview("6 * * * *", "", 0).await.expect("a schedule").next_runs.len(), 3);
    // No source is there yet that has a time of its own.
    let spread = preview("Daily", "", 0).await.expect("a schedule");
    assert!(spread.next_runs.is_empty() && spread.text.contains("differs"), "{spread:?}");
    assert_eq!(preview("", "", 0).await.expect("none").text, "by hand only");
    for (expression, zone, count) in [("* * *", "", 0), ("daily", "X", 0), ("daily", "", 11)] {
        let refused = preview(expression, zone, count).await.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
}
