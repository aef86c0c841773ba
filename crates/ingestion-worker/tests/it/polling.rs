//! Feeds become documents: each entry once, edits as revisions, on time, and at little cost.

use proto::ingestion::v1::{FeedOptions, Schedule};
use testkit::{Response, Site, eventually};

use crate::world::{PATIENCE, World};

/// An entry of a feed: guid, title, text.
type Entry<'a> = (&'a str, &'a str, &'a str);

/// An RSS feed with full texts. An empty guid is left out, and so is the link then.
pub(crate) fn rss(entries: &[Entry<'_>]) -> Response {
    let items: String = entries
        .iter()
        .map(|(guid, title, text)| {
            let id = match *guid {
                "" => String::new(),
                guid => format!("<guid>https://blog.example/{guid}</guid>"),
            };
            format!(
                "<item>{id}<title>{title}</title><content:encoded>&lt;p&gt;{text}&lt;/p&gt;\
                 </content:encoded><dc:creator>Ann Lee</dc:creator><category>rust</category></item>"
            )
        })
        .collect();
    Response::ok(format!(
        "<rss version=\"2.0\" xmlns:content=\"http://purl.org/rss/1.0/modules/content/\" \
         xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><channel><title>Blog</title>\
         <language>en</language>{items}</channel></rss>"
    ))
    .content_type("application/rss+xml")
}

#[tokio::test]
async fn a_feed_becomes_documents() {
    let world = World::start().await;
    world.site.serve("/feed", rss(&[("1", "First", "one"), ("2", "Second", "two")]));
    let source = world.add("/feed").await;
    assert_eq!(world.get(&source.id).await.freshness, "new");
    let run = world.run(&source.id).await;
    assert_eq!((run.state.as_str(), run.found, run.created), ("done", 2, 2), "{run:?}");

    let first = world.knowledge.document("First").await;
    assert_eq!(first.source_id, source.id);
    assert_eq!(first.project_id, world.project.to_string());
    assert_eq!((first.source_kind.as_str(), first.source_name.as_str()), ("feed", "/feed"));
    assert_eq!((first.authors, first.tags), (vec!["Ann Lee".to_owned()], vec!["rust".to_owned()]));
    assert_eq!((first.text.trim(), first.priority, first.language.as_str()), ("one", 5, "en"));
    assert!(first.observed_seq > 0);
    world.knowledge.holds(2).await;
    assert_eq!(world.settled().await, []);

    let source = world.get(&source.id).await;
    assert_eq!((source.freshness.as_str(), source.consecutive_failures), ("fresh", 0));
    assert!(source.last_success_at.is_some());
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM ingestion.blob")
        .fetch_one(&world.pool)
        .await
        .expect("counted");
    assert_eq!(left, 0, "nothing waits any more");
}

#[tokio::test]
async fn polling_three_times_adds_nothing() {
    let world = World::start().await;
    world.site.serve("/feed", rss(&[("1", "First", "one"), ("", "No guid and no link", "two")]));
    let source = world.add("/feed").await;
    world.run(&source.id).await;
    world.knowledge.holds(2).await;
    for _ in 0..3 {
        let run = world.run(&source.id).await;
        assert_eq!((run.found, run.created, run.revised, run.unchanged), (2, 0, 0, 2), "{run:?}");
    }
    assert_eq!(world.settled().await, []);
    assert_eq!(world.knowledge.submitted().len(), 2);
}

#[tokio::test]
async fn an_edit_is_a_revision_under_a_later_number() {
    let world = World::start().await;
    let first = rss(&[("1", "First", "one")]);
    let edited = rss(&[("1", "First", "one, edited")]);
    world.site.serve_each("/feed", [first, edited]);
    let source = world.add("/feed").await;
    world.run(&source.id).await;
    let before = world.knowledge.document("First").await;
    world.settled().await;
    let run = world.run(&source.id).await;
    assert_eq!((run.created, run.revised), (0, 1), "{run:?}");
    assert_eq!(world.settled().await, []);
    let after = world.knowledge.holds(1).await.remove(0);
    assert_eq!(after.external_id, before.external_id);
    assert_eq!(after.text.trim(), "one, edited");
    assert!(after.observed_seq > before.observed_seq);
}

#[tokio::test]
async fn what_did_not_change_costs_no_body() {
    let world = World::start().await;
    world.site.serve("/feed", rss(&[("1", "First", "one")]).etag("\"v1\""));
    let source = world.add("/feed").await;
    world.run(&source.id).await;
    let run = world.run(&source.id).await;
    assert!(run.not_modified, "{run:?}");
    let requests = world.site.requests_for("/feed");
    assert_eq!(requests[1].header("if-none-match"), Some("\"v1\""));
    assert_eq!((requests[1].status.as_u16(), requests[1].bytes_sent()), (304, 0));
    assert_eq!(world.get(&source.id).await.freshness, "fresh");
}

#[tokio::test]
async fn the_clock_runs_a_source_every_minute() {
    let world = World::start().await;
    world.site.serve("/feed", rss(&[("1", "First", "one")]));
    let mut request = world.feed("/feed");
    request.schedule = Some(Schedule { expression: "* * * * *".into(), zone: String::new() });
    let source = world.create(request).await.expect("a good feed");
    assert_eq!(source.next_runs.len(), 3);
    for tick in 1..=2 {
        // The clock cannot be turned on, but the time of the next tick can be turned back.
        let key = format!("source:{}", source.id);
        sqlx::query(
            "UPDATE jobs.schedule SET next_at = now() - interval '1 minute' WHERE key = $1",
        )
        .bind(&key)
        .execute(&world.pool)
        .await
        .expect("turned back");
        sqlx::query("DELETE FROM jobs.schedule_tick WHERE schedule_key = $1")
            .bind(&key)
            .execute(&world.pool)
            .await
            .expect("forgotten");
        eventually(PATIENCE, || async {
            let runs = world.runs(&source.id).await;
            let done = runs.iter().filter(|it| it.state == "done").count();
            if done == tick { Ok(()) } else { Err(runs) }
        })
        .await;
        world.settled().await;
    }
    assert_eq!(world.knowledge.submitted().len(), 1);
}

#[tokio::test]
async fn a_first_import_takes_the_newest_entries_only() {
    let world = World::start().await;
    let entries: Vec<(String, String)> =
        (0..10).map(|n| (format!("g{n}"), format!("Title {n}"))).collect();
    let entries: Vec<Entry<'_>> =
        entries.iter().map(|(guid, title)| (guid.as_str(), title.as_str(), "text")).collect();
    let more: Vec<Entry<'_>> =
        [("new", "Newest", "text")].into_iter().chain(entries.clone()).collect();
    world.site.serve_each("/feed", [rss(&entries), rss(&more)]);
    let mut request = world.feed("/feed");
    request.feed = Some(FeedOptions { first_import_items: 3, ..FeedOptions::default() });
    let source = world.create(request).await.expect("a good feed");
    let run = world.run(&source.id).await;
    assert_eq!((run.found, run.created, run.unchanged), (10, 3, 7), "{run:?}");
    let run = world.run(&source.id).await;
    assert_eq!((run.found, run.created, run.unchanged), (11, 1, 10), "{run:?}");
    assert_eq!(world.settled().await, []);
    assert_eq!(world.knowledge.documents().len(), 4);
}

#[tokio::test]
async fn a_summary_is_replaced_by_the_article_unless_that_is_shorter() {
    let world = World::start().await;
    let entry = |path: &str, title: &str, summary: &str| {
        let link = world.site.url(path);
        format!(
            "<item><guid>{path}</guid><link>{link}</link><title>{title}</title>\
             <description>{summary}</description></item>"
        )
    };
    let feed = [
        entry("/article", "Long read", "In short."),
        entry("/robots", "Guarded", "A summary that says more than the page that stands guard."),
        entry("/gone", "Gone", "The page is gone."),
        entry("/film", "Film", "What is shown in the film."),
    ]
    .concat();
    let feed = format!("<rss version=\"2.0\"><channel><title>B</title>{feed}</channel></rss>");
    world.site.serve("/feed", Response::ok(feed));
    let paragraph = "<p>A paragraph of the article, with commas, and enough words to count.</p>";
    let article = format!(
        "<html><body><nav>Home</nav><article><h1>Long read</h1>{}</article></body></html>",
        paragraph.repeat(8)
    );
    world.site.serve("/article", Response::ok(article).content_type("text/html"));
    let robots = "<html><body><p>Are you human?</p></body></html>";
    world.site.serve("/robots", Response::ok(robots).content_type("text/html"));
    let film = format!("<html><body><article>{}</article></body></html>", paragraph.repeat(9));
    world.site.serve("/film", Response::ok(film).content_type("video/mp4"));
    let source = world.add("/feed").await;
    world.run(&source.id).await;
    assert_eq!(world.settled().await, []);
    let article = world.knowledge.document("Long read").await;
    assert!(article.text.contains("enough words to count") && !article.text.contains("Home"));
    assert!(world.knowledge.document("Guarded").await.text.contains("says more"));
    assert!(world.knowledge.document("Gone").await.text.contains("The page is gone"));
    assert!(world.knowledge.document("Film").await.text.contains("What is shown"));
    assert_eq!(world.site.requests_for("/article").len(), 1);
}

#[tokio::test]
async fn a_feed_that_broke_off_is_read_again_as_a_whole() {
    let world = World::start().await;
    let feed = "<rss version=\"2.0\"><channel><title>B</title>\
        <item><guid>1</guid><title>First</title><description>one</description></item>\
        <item><guid>2</guid><title>Second</title><description>two, and more</description></item>\
        </channel></rss>";
    let (half, _) = feed.split_at(feed.find(", and").expect("it is there"));
    let [half, whole] = [half, feed].map(|it| Response::ok(it.to_owned()).etag("\"v1\""));
    world.site.serve_each("/feed", [half, whole]);
    let source = world.add("/feed").await;
    let run = world.run(&source.id).await;
    assert_eq!((run.found, run.created), (1, 1), "{run:?}");
    let run = world.run(&source.id).await;
    assert_eq!((run.created, run.not_modified), (1, false), "{run:?}");
    assert!(world.knowledge.document("Second").await.text.contains("two, and more"));
    assert_eq!(world.settled().await, []);
    assert!(
        world
            .knowledge
            .submitted()
            .iter()
            .all(|it| it.title != "Second" || it.text.contains("more"))
    );
}

#[tokio::test]
async fn an_article_that_is_held_back_is_taken_later() {
    let world = World::start().await;
    let other = Site::start_at("127.0.0.2".parse().expect("an address")).await;
    let feed = format!(
        "<rss version=\"2.0\"><channel><title>B</title><item><guid>1</guid><title>Long</title>\
         <link>{}</link><description>Short.</description></item></channel></rss>",
        other.url("/article")
    );
    // The feed itself answers 304 from the second look on.
    world.site.serve("/feed", Response::ok(feed).etag("\"v1\""));
    let words = "<p>Many words, in a sentence that goes on, and on, for quite a while.</p>";
    let article = format!("<html><body><article>{}</article></body></html>", words.repeat(6));
    let article = Response::ok(article).content_type("text/html");
    let refused = |seconds| Response::status(429).header("retry-after", seconds);
    other.serve_each("/article", [refused("7200"), refused("1"), article]);
    let source = world.add("/feed").await;
    world.run(&source.id).await;
    assert_eq!(world.settled().await, []);
    assert_eq!(world.knowledge.document("Long").await.text.trim(), "Short.");
    // The hold is over; the content has waited for longer than a site's hold is waited for.
    for sql in [
        "UPDATE ingestion.host SET hold_until = now()",
        "ALTER TABLE ingestion.blob ALTER created_at SET DEFAULT now() - interval '3 hours'",
    ] {
        sqlx::query(sql).execute(&world.pool).await.expect("done");
    }
    world.run(&source.id).await;
    assert_eq!(world.settled().await, []);
    assert!(world.knowledge.document("Long").await.text.contains("Many words"));
    assert_eq!(other.requests_for("/article").len(), 3);
    assert!(world.run(&source.id).await.not_modified);
}

#[tokio::test]
async fn a_look_is_told_to_whoever_listens() {
    let world = World::start().await;
    world.site.serve("/feed", rss(&[("1", "First", "one")]));
    let source = world.add("/feed").await;
    world.run(&source.id).await;
    let (sent, envelope): (i64, Vec<u8>) = eventually(PATIENCE, || async {
        let row: Option<(i64, Vec<u8>)> = sqlx::query_as(
            "SELECT id, envelope FROM jobs.outbox WHERE sent_at IS NOT NULL LIMIT 1",
        )
        .fetch_optional(&world.pool)
        .await
        .expect("the outbox can be read");
        row.ok_or("nothing was sent")
    })
    .await;
    assert!(sent > 0);
    let envelope = prost::Message::decode(envelope.as_slice()).expect("an envelope");
    let polled = bus::subject::SOURCE_POLLED.decode(&envelope).expect("reads").expect("its type");
    assert_eq!((polled.source_id, polled.ok, polled.created), (source.id, true, 1));
}
