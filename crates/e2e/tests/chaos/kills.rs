//! A thousand documents in flight while everything is killed.

use std::{fmt::Write as _, time::Duration};

use serde_json::json;
use testkit::{Response, Site, eventually};

use crate::fleet::{Fleet, WORKERS};

const FEEDS: usize = 10;
const ENTRIES_PER_FEED: usize = 50;
const BATCHES: usize = 10;
const DOCUMENTS_PER_BATCH: usize = 50;
const DOCUMENTS: usize = FEEDS * ENTRIES_PER_FEED + BATCHES * DOCUMENTS_PER_BATCH;

/// kill -9 of workers, in turn.
const KILLS: usize = 20;

/// Between two kills, so that they fall between and inside all stages.
const KILL_INTERVAL: Duration = Duration::from_millis(700);

/// How long Postgres stands still.
const POSTGRES_PAUSE: Duration = Duration::from_secs(120);

/// For one request to get through while things are killed.
const ACCEPT_DEADLINE: Duration = Duration::from_secs(60);

/// For all work to be over once nothing is killed any more.
const SETTLE_DEADLINE: Duration = Duration::from_secs(240);

const STORED: &str = "SELECT count(*) FROM knowledge.document";
const SEARCHABLE: &str = "SELECT count(DISTINCT document_id) FROM knowledge.chunk";
const UNFINISHED: &str = "SELECT count(*) FROM jobs.job WHERE state IN ('queued', 'running')";
const DEAD: &str = "SELECT count(*) FROM jobs.job WHERE state = 'dead'";

/// A word that only one document has.
fn word(number: usize) -> String {
    let letters: String = number.to_string().bytes().map(|digit| char::from(digit + 50)).collect();
    format!("zq{letters}xw")
}

fn feed(feed: usize) -> String {
    let mut items = String::new();
    for entry in 0..ENTRIES_PER_FEED {
        let number = feed * ENTRIES_PER_FEED + entry;
        let word = word(number);
        write!(
            items,
            "<item><guid isPermaLink=\"false\">{number}</guid><title>Entry {number}</title>\
             <description>The word is {word}.</description></item>"
        )
        .expect("a string takes everything");
    }
    format!("<rss version=\"2.0\"><channel><title>Feed {feed}</title>{items}</channel></rss>")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_accepted_is_lost_and_nothing_comes_twice() {
    let site = Site::start().await;
    let mut fleet = Fleet::start().await;
    let mut accepted = 0;
    for number in 0..FEEDS {
        let path = format!("/{number}.xml");
        site.serve(&path, Response::ok(feed(number)).content_type("application/rss+xml"));
        let source = json!({
            "project": "p", "kind": "feed", "url": site.url(&path),
            "name": format!("feed {number}"), "feed": { "full_text": false },
        });
        let made = fleet.post("/api/sources", &source).await.expect("made");
        let id = made["id"].as_str().expect("an id");
        fleet.post(&format!("/api/sources/{id}/run"), &json!({})).await.expect("started");
    }
    for round in 0..KILLS {
        fleet.kill_worker(round % WORKERS).await;
        if round % 2 == 0 {
            submit(&fleet, accepted).await;
            accepted += 1;
        }
        match round {
            6 => fleet.nats.wipe_and_restart().await,
            12 => {
                fleet.postgres.kill().await;
                fleet.postgres.restart().await;
            }
            _ => tokio::time::sleep(KILL_INTERVAL).await,
        }
    }
    assert_eq!(accepted, BATCHES);
    fleet.postgres.pause();
    tokio::time::sleep(POSTGRES_PAUSE).await;
    fleet.postgres.resume();

    eventually(SETTLE_DEADLINE, || async {
        let counts = (
            fleet.count(STORED).await?,
            fleet.count(SEARCHABLE).await?,
            fleet.count(UNFINISHED).await?,
            fleet.count(DEAD).await?,
        );
        let all = i64::try_from(DOCUMENTS).unwrap_or(i64::MAX);
        if counts == (all, all, 0, 0) {
            Ok(())
        } else {
            Err(format!("(stored, searchable, unfinished, dead) = {counts:?}\n{}", fleet.logs()))
        }
    })
    .await;
    for number in 0..DOCUMENTS {
        let path =
            format!("/api/knowledge/search?q={}&project=p&limit=10&mode=lexical", word(number));
        let found = fleet.get(&path).await.expect("an answer");
        let results = found["results"].as_array().expect("results");
        assert_eq!(results.len(), 1, "document {number} is found once: {found}");
    }
}

/// Hands a batch over until it is accepted: an answer that got lost is asked for again, and the
/// same external id keeps the document one.
async fn submit(fleet: &Fleet, batch: usize) {
    let first = FEEDS * ENTRIES_PER_FEED + batch * DOCUMENTS_PER_BATCH;
    let documents: Vec<_> = (first..first + DOCUMENTS_PER_BATCH)
        .map(|number| {
            json!({
                "project": "p", "external_id": number.to_string(),
                "title": format!("Document {number}"),
                "text": format!("The word is {}.", word(number)),
            })
        })
        .collect();
    let body = json!({ "documents": documents });
    eventually(ACCEPT_DEADLINE, || async {
        let answer = fleet.post("/api/knowledge/documents", &body).await?;
        let results = answer["results"].as_array().ok_or("no results")?;
        let refused = results.iter().find(|result| result["job_id"].as_str().is_none());
        match refused {
            None if results.len() == DOCUMENTS_PER_BATCH => Ok(()),
            _ => Err(format!("{answer}")),
        }
    })
    .await;
}
