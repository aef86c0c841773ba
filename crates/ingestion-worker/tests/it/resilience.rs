//! Nothing is lost and nothing comes twice, whoever dies, waits or interferes.

use std::time::Duration;

use ingestion_worker::db::run;
use proto::ingestion::v1::{
    DeleteSourceRequest, GetSourceRequest, RunSourceRequest, UpdateSourceRequest,
};
use proto::{Failure, JobId, Reason};
use testkit::{Response, eventually};
use tonic::Code;

use crate::polling::rss;
use crate::world::{PATIENCE, World};

#[tokio::test]
async fn a_worker_that_is_killed_between_the_stages_loses_nothing() {
    let mut world = World::start().await;
    let titles: Vec<String> = (0..20).map(|n| format!("T{n}")).collect();
    let entries: Vec<(&str, &str, &str)> =
        titles.iter().map(|title| (title.as_str(), title.as_str(), "text")).collect();
    world.site.serve("/feed", rss(&entries));
    let source = world.add("/feed").await;
    let closed = world.knowledge.close_gate().await;
    let run = world.run(&source.id).await;
    assert_eq!(run.created, 20);
    world.knowledge.arrived(3).await;
    drop(closed);
    world.kill_worker().await;
    world.start_worker().await;
    world.knowledge.holds(20).await;
    assert_eq!(world.settled().await, []);
    let ids: std::collections::BTreeSet<String> =
        world.knowledge.documents().into_iter().map(|it| it.external_id).collect();
    assert_eq!(ids.len(), 20, "each once");
}

#[tokio::test]
async fn a_worker_that_is_killed_while_it_fetches_is_followed_by_another() {
    let mut world = World::start().await;
    let silent = Response::of(testkit::Body::Silence);
    world.site.serve_each("/feed", [silent, rss(&[("1", "First", "one")])]);
    let source = world.add("/feed").await;
    let run = world.run_now(&source.id).await;
    asked(&world, "/feed").await;
    world.kill_worker().await;
    world.start_worker().await;
    world.knowledge.document("First").await;
    let first = world.ended(&source.id, &run).await;
    assert_eq!(first.state, "failed");
    assert!(first.error.contains("another attempt follows"), "{first:?}");
    assert_eq!(world.settled().await, []);
}

#[tokio::test]
async fn a_job_that_waits_makes_one_run_however_often_it_is_asked_for() {
    let world = World::start().await;
    let source = world.add("/feed").await;
    let id = source.id.parse().expect("an id");
    let mut conn = world.pool.acquire().await.expect("a connection");
    let (waits, next) = (JobId::generate(), JobId::generate());
    let first = run::queue(&mut conn, id, waits).await.expect("queued");
    assert_eq!(run::queue(&mut conn, id, waits).await.expect("queued"), first);
    // Its job was cancelled; the next one's run tells what became of it.
    let later = run::start(&mut conn, id, next).await.expect("started");
    assert_ne!(later, first);
    let runs = world.runs(&source.id).await;
    let gone = runs.iter().find(|it| it.id == first.to_string()).expect("listed");
    assert!(gone.error.contains("before the run began"), "{gone:?}");
}

#[tokio::test]
async fn an_edit_of_the_url_ends_the_run_of_the_old_one() {
    let world = World::start().await;
    let slow = testkit::Body::Slow {
        bytes: "<rss version=\"2.0\"><channel><title>B</title><item><guid>1</guid>\
                <title>Old</title></item></channel></rss>"
            .into(),
        chunk_bytes: 20,
        pause: Duration::from_millis(100),
    };
    world.site.serve("/feed", Response::of(slow));
    world.site.serve("/new", rss(&[("2", "New", "two")]));
    let source = world.add("/feed").await;
    let run = world.run_now(&source.id).await;
    asked(&world, "/feed").await;
    let edit = UpdateSourceRequest {
        id: source.id.clone(),
        url: Some(world.site.url("/new")),
        ..UpdateSourceRequest::default()
    };
    world.sources("operator").update_source(edit).await.expect("edited");
    let ended = world.ended(&source.id, &run).await;
    assert!(ended.error.contains("edited during this run"), "{ended:?}");
    world.knowledge.document("New").await;
    assert_eq!(world.settled().await, []);
    assert_eq!(world.knowledge.holds(1).await[0].title, "New");
}

#[tokio::test]
async fn a_run_that_is_cancelled_gives_its_place_at_the_host_back() {
    let world = World::start().await;
    world.site.serve("/feed", Response::of(testkit::Body::Silence));
    let source = world.add("/feed").await;
    let request = RunSourceRequest { id: source.id.clone() };
    let run = world.sources("operator").run_source(request).await.expect("it may run");
    asked(&world, "/feed").await;
    let job = run.into_inner().job_id.parse().expect("an id");
    jobs::ledger::cancel(&world.pool, job).await.expect("cancelled");
    eventually(PATIENCE, || async {
        let taken: i64 =
            sqlx::query_scalar("SELECT sum(cardinality(busy_until)) FROM ingestion.host")
                .fetch_one(&world.pool)
                .await
                .expect("read");
        if taken == 0 { Ok(()) } else { Err(taken) }
    })
    .await;
}

/// Waits until somebody asked for this path.
async fn asked(world: &World, path: &str) {
    eventually(PATIENCE, || async {
        let asked = world.site.requests_for(path).len();
        if asked == 1 { Ok(()) } else { Err(asked) }
    })
    .await;
}

#[tokio::test]
async fn a_full_receiver_is_waited_for_at_no_cost() {
    let world = World::start().await;
    world.site.serve("/feed", rss(&[("1", "First", "one")]));
    let full = Failure::new(Reason::Backlog, "the index is behind")
        .retry_after(Duration::from_millis(200));
    (0..10).for_each(|_| world.knowledge.refuse_next(full.clone()));
    let source = world.add("/feed").await;
    world.run(&source.id).await;
    world.knowledge.document("First").await;
    assert_eq!(world.settled().await, [], "ten refusals are more than a job's attempts");
}

#[tokio::test]
async fn an_edit_that_comes_while_its_document_is_processed_is_not_missed() {
    let world = World::start().await;
    let (first, edited) = (rss(&[("1", "First", "one")]), rss(&[("1", "First", "one, edited")]));
    world.site.serve_each("/feed", [first, edited]);
    let source = world.add("/feed").await;
    let closed = world.knowledge.close_gate().await;
    world.run(&source.id).await;
    world.knowledge.arrived(1).await;
    let run = world.run(&source.id).await;
    assert_eq!(run.revised, 1, "{run:?}");
    drop(closed);
    assert_eq!(world.settled().await, []);
    let submitted = world.knowledge.submitted();
    let texts: Vec<&str> = submitted.iter().map(|it| it.text.trim()).collect();
    assert_eq!(texts, ["one", "one, edited"]);
    assert!(submitted[0].observed_seq < submitted[1].observed_seq);
}

#[tokio::test]
async fn an_article_is_not_fetched_again_because_the_receiver_was_full() {
    let world = World::start().await;
    let link = world.site.url("/article");
    let poor = world.site.url("/poor");
    let feed = format!(
        "<rss version=\"2.0\"><channel><title>B</title><item><guid>1</guid><title>Long</title>\
         <link>{link}</link><description>Short.</description></item><item><guid>2</guid>\
         <title>Poor</title><link>{poor}</link><description>More than the page has.</description>\
         </item></channel></rss>"
    );
    world.site.serve("/feed", Response::ok(feed));
    let page = Response::ok("<html><body><p>Little.</p></body></html>").content_type("text/html");
    world.site.serve("/poor", page);
    let words = "<p>Many words, in a sentence that goes on, and on, for quite a while.</p>";
    let article = format!("<html><body><article>{}</article></body></html>", words.repeat(6));
    world.site.serve("/article", Response::ok(article).content_type("text/html"));
    let full = Failure::new(Reason::Backlog, "full").retry_after(Duration::from_millis(100));
    (0..6).for_each(|_| world.knowledge.refuse_next(full.clone()));
    let source = world.add("/feed").await;
    world.run(&source.id).await;
    assert!(world.knowledge.document("Long").await.text.contains("Many words"));
    assert!(world.knowledge.document("Poor").await.text.contains("More than"));
    assert_eq!(world.site.requests_for("/article").len(), 1);
    assert_eq!(world.site.requests_for("/poor").len(), 1, "its summary is the longer one");
}

#[tokio::test]
async fn deleting_a_source_while_it_runs_leaves_nothing_of_it() {
    let world = World::start().await;
    world.site.serve("/feed", rss(&[("1", "First", "one")]));
    let source = world.add("/feed").await;
    world.run(&source.id).await;
    world.knowledge.document("First").await;
    let slow = testkit::Body::Slow {
        bytes: "<rss version=\"2.0\"><channel><title>B</title><item><guid>2</guid>\
                <title>Late</title></item></channel></rss>"
            .into(),
        chunk_bytes: 20,
        pause: Duration::from_millis(100),
    };
    world.site.serve("/feed", Response::of(slow));
    world.run_now(&source.id).await;
    eventually(PATIENCE, || async {
        let asked = world.site.requests_for("/feed").len();
        if asked == 2 { Ok(()) } else { Err(asked) }
    })
    .await;
    let delete = DeleteSourceRequest { id: source.id.clone() };
    let answer = world.sources("operator").delete_source(delete).await.expect("deleted");
    assert!(!answer.into_inner().job_id.is_empty());
    eventually(PATIENCE, || async {
        let request = GetSourceRequest { id: source.id.clone() };
        match world.sources("viewer").get_source(request).await {
            Err(status) if status.code() == Code::NotFound => Ok(()),
            other => Err(other),
        }
    })
    .await;
    assert_eq!(world.settled().await, []);
    assert_eq!(world.knowledge.documents(), []);
    assert_eq!(world.knowledge.purges().len(), 1);
    for table in ["item", "blob", "run", "validator", "source"] {
        let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM ingestion.{table}"));
        let rows: i64 = sqlx::query_scalar(count).fetch_one(&world.pool).await.expect("counted");
        assert_eq!(rows, 0, "{table}");
    }
    // Its name and URL are free again, and its entries are new.
    world.site.serve("/feed", rss(&[("1", "First", "one")]));
    let again = world.add("/feed").await;
    assert_eq!(world.run(&again.id).await.created, 1);
    world.knowledge.document("First").await;
}
