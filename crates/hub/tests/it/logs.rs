//! Logs over REST: snapshots, and streams that miss nothing.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::time::timeout;
use tonic::Code;

use crate::{
    fake::orchestrator::{line, mark},
    stand::{PATIENCE, Stand, send},
};

/// (event, id, data) of each event of a stream, as they come.
struct Events {
    response: Response,
    text: String,
}

impl Events {
    async fn open(stand: &Stand, token: &str, path: &str, last: Option<&str>) -> Self {
        let mut request = stand.request(Method::GET, path).bearer_auth(token);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.expect("it opens");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Self { response, text: String::new() }
    }

    /// The next event that is more than a heartbeat; none at the end.
    async fn next(&mut self) -> Option<(String, String, Value)> {
        let reading = async {
            loop {
                if let Some((event, rest)) = self.text.split_once("\n\n") {
                    let (event, rest) = (event.to_owned(), rest.to_owned());
                    self.text = rest;
                    let field = |name: &str| {
                        let value = event.lines().find_map(|line| line.strip_prefix(name));
                        value.unwrap_or_default().to_owned()
                    };
                    if !field("event: ").is_empty() {
                        let data = serde_json::from_str(&field("data: ")).expect("JSON");
                        return Some((field("event: "), field("id: "), data));
                    }
                    continue;
                }
                let chunk = self.response.chunk().await.ok()??;
                self.text.push_str(&String::from_utf8_lossy(&chunk));
            }
        };
        timeout(PATIENCE, reading).await.expect("something comes")
    }
}

async fn stand_with_logs() -> Stand {
    let stand = Stand::start().await;
    let project = stand.project("p").await;
    stand.fake.has_stack(&project);
    stand
}

#[tokio::test]
async fn records_are_read_as_json_and_as_text() {
    let stand = stand_with_logs().await;
    let viewer = stand.token("viewer", &["p"]).await;
    let all = stand.get(&viewer, "/api/projects/p/logs").await.expect(200).json();
    let records = all["records"].as_array().expect("records");
    assert_eq!(records.len(), 3);
    assert_eq!((&records[0]["kind"], &records[0]["event"]), (&json!("mark"), &json!("started")));
    assert_eq!((&records[2]["kind"], &records[2]["cursor"]), (&json!("line"), &json!("web:3")));
    assert_eq!((&records[2]["level"], &records[2]["sequence"]), (&json!("info"), &json!(3)));
    let text = stand.get(&viewer, "/api/projects/p/logs/web?format=text").await.expect(200);
    assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
    let lines = "\u{1b}[1;31mred\u{1b}[0m <script>alert(1)</script>\nGET /shibboleth 200\n";
    assert_eq!(text.text, lines);
    let read = async |query: &str| {
        let path = format!("/api/projects/p/logs?{query}");
        stand.get(&viewer, &path).await.expect(200).json()["records"].clone()
    };
    assert_eq!(read("contains=GET&tail=1").await[0]["sequence"], 3);
    assert_eq!(read("after=web:2").await.as_array().map(Vec::len), Some(1));
    assert_eq!(read("service=db").await, json!([]));
    for (query, says) in [
        ("tail=10001", "10000"),
        ("since=yesterday", "yesterday"),
        ("follow=true&until=2026-01-01T00:00:00Z", "until"),
        ("lvel=warn", "lvel"),
    ] {
        let path = format!("/api/projects/p/logs?{query}");
        let problem = stand.get(&viewer, &path).await.expect(400).json();
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
}

#[tokio::test]
async fn a_follower_that_comes_back_misses_nothing_and_gets_nothing_twice() {
    let stand = stand_with_logs().await;
    let path = "/api/projects/p/logs?follow=true&tail=1";
    let mut events = Events::open(&stand, &stand.admin, path, None).await;
    let (event, id, data) = events.next().await.expect("the backlog");
    assert_eq!((event.as_str(), id.as_str(), &data["sequence"]), ("record", "web:3", &json!(3)));
    let log = &stand.fake.0.held.log;
    log.send_modify(|log| log.push(line(4, "while it follows")));
    let (_, last, data) = events.next().await.expect("what comes");
    assert_eq!(data["text"], "while it follows");
    drop(events);
    log.send_modify(|log| log.extend([line(5, "meanwhile"), mark(6, "exited")]));
    let mut events = Events::open(&stand, &stand.admin, path, Some(&last)).await;
    log.send_modify(|log| log.push(line(7, "after")));
    for sequence in [5, 6, 7] {
        assert_eq!(events.next().await.expect("a record").2["sequence"], sequence);
    }
}

#[tokio::test]
async fn plain_lines_are_followed_as_they_come() {
    let stand = stand_with_logs().await;
    let path = "/api/projects/p/logs/web?follow=true&format=text&tail=1";
    let request = stand.request(Method::GET, path).bearer_auth(&stand.admin);
    let request = request.header("accept-encoding", "gzip");
    let mut response = request.send().await.expect("it opens");
    assert!(!response.headers().contains_key("content-encoding"), "it would hold lines back");
    let next = async |response: &mut Response| {
        let chunk =
            timeout(PATIENCE, response.chunk()).await.expect("in time").expect("it goes on");
        String::from_utf8(chunk.expect("it does not end").to_vec()).expect("text")
    };
    assert_eq!(next(&mut response).await, "GET /shibboleth 200\n");
    stand.fake.0.held.log.send_modify(|log| log.push(line(4, "more")));
    assert_eq!(next(&mut response).await, "more\n");
}

#[tokio::test]
async fn health_and_operations_are_streamed_until_they_end() {
    let stand = stand_with_logs().await;
    let mut health =
        Events::open(&stand, &stand.admin, "/api/projects/p/health/events", None).await;
    let (event, _, data) = health.next().await.expect("the present state");
    assert_eq!((event.as_str(), &data["status"]), ("health", &json!("ready")));
    stand.fake.0.held.health.send_modify(|health| health.status = "failed".to_owned());
    assert_eq!(health.next().await.expect("the change").2["status"], "failed");

    let restart = "/api/projects/p/stack/restart";
    let operation = stand.post(&stand.admin, restart, &json!({})).await.expect(202).json();
    let id = operation["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/projects/p/operations/{id}/events");
    let mut steps = Events::open(&stand, &stand.admin, &path, None).await;
    assert_eq!(steps.next().await.expect("as it is").2["state"], "running");
    stand.fake.0.held.operations.send_modify(|all| all[0].state = "failed".to_owned());
    assert_eq!(steps.next().await.expect("its end").2["state"], "failed");
    assert!(steps.next().await.is_none(), "the stream ends with it");
}

#[tokio::test]
async fn a_follower_ends_with_its_rights_and_takes_a_place() {
    let config = hub::Config { event_streams_max: 1, ..hub::Config::default() };
    let stand = Stand::configured(config).await;
    let project = stand.project("p").await;
    stand.fake.has_stack(&project);
    let body = json!({ "name": "ci", "role": "viewer", "projects": ["p"] });
    let made = stand.post(&stand.admin, "/api/tokens", &body).await.expect(201).json();
    let (token, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    let path = "/api/projects/p/logs?follow=true&tail=1";
    let mut events = Events::open(&stand, token, path, None).await;
    events.next().await.expect("the backlog");
    let one_more = stand.request(Method::GET, path).bearer_auth(&stand.admin);
    assert_eq!(send(one_more).await.expect(429).json()["code"], "RATE_LIMITED");
    let revoke = format!("/api/tokens/{id}");
    stand.send(&stand.admin, Method::DELETE, &revoke, &json!({})).await.expect(204);
    assert!(events.next().await.is_none(), "it ends");
    let opens_again = || async {
        let request = stand.request(Method::GET, path).bearer_auth(&stand.admin);
        match request.send().await.expect("the hub answers").status().as_u16() {
            200 => Ok(()),
            status => Err(status),
        }
    };
    testkit::eventually(Duration::from_secs(20), opens_again).await;
}

#[tokio::test]
async fn a_log_that_cannot_be_followed_is_a_problem() {
    let stand = stand_with_logs().await;
    stand.fake.orchestrator_refuses(Some(Code::Unavailable));
    for path in ["/api/projects/p/logs", "/api/projects/p/logs?follow=true"] {
        let problem = stand.get(&stand.admin, path).await.expect(503).json();
        assert_eq!(problem["code"], "UNAVAILABLE");
    }
    let scoped = stand.token("viewer", &["p"]).await;
    stand.project("other").await;
    stand.get(&scoped, "/api/projects/other/logs?follow=true").await.expect(404);
}
