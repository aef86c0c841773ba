//! Live jobs by server-sent events.

use std::time::Duration;

use proto::JobId;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    jobs::job,
    stand::{PATIENCE, Stand, send},
};

/// Reads events until one satisfies.
async fn read_until(
    response: &mut reqwest::Response,
    mut satisfied: impl FnMut(&str, &Value) -> bool,
) -> String {
    let mut text = String::new();
    let reading = async {
        loop {
            let chunk = response.chunk().await.expect("it goes on").expect("it does not end");
            text.push_str(&String::from_utf8_lossy(&chunk));
            for event in text.split("\n\n") {
                let line = |name: &str| {
                    event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default()
                };
                let data = serde_json::from_str(line("data: ")).unwrap_or_default();
                if line("event: ") == "job" && satisfied(line("id: "), &data) {
                    return line("id: ").to_owned();
                }
            }
        }
    };
    timeout(PATIENCE, reading).await.expect("the event comes")
}

#[tokio::test]
async fn a_stream_tells_each_change_and_resumes_where_it_was() {
    let stand = Stand::start().await;
    let project = stand.project("p").await;
    let token = stand.token("viewer", &["p"]).await;
    let open = |last: Option<String>| {
        let mut request = stand.request(Method::GET, "/api/jobs/events").bearer_auth(&token);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        request.send()
    };
    let mut stream = open(None).await.expect("it opens");
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    assert_eq!(stream.headers()["x-accel-buffering"], "no");
    assert_eq!(stream.headers()["cache-control"], "no-cache");
    let id = job(&stand, &project, "watched").await;
    let is = |data: &Value, state: &str| data["id"] == id.as_str() && data["state"] == state;
    let seen = read_until(&mut stream, |_, data| is(data, "queued")).await;
    drop(stream);

    sqlx::query("UPDATE jobs.job SET state = 'done', finished_at = now() WHERE id = $1")
        .bind(id.parse::<JobId>().expect("an id"))
        .execute(&stand.pool)
        .await
        .expect("it is done");
    let mut stream = open(Some(seen)).await.expect("it opens again");
    read_until(&mut stream, |_, data| is(data, "done")).await;
}

#[tokio::test]
async fn a_stream_tells_nothing_of_other_projects() {
    let stand = Stand::start().await;
    let mine = stand.project("mine").await;
    let other = stand.project("other").await;
    let token = stand.token("admin", &["mine"]).await;
    let foreign = job(&stand, &other, "their job").await;
    let request = stand.request(Method::GET, "/api/jobs/events").bearer_auth(&token);
    let mut stream = request.send().await.expect("it opens");
    let id = job(&stand, &mine, "my job").await;
    read_until(&mut stream, |_, data| {
        assert_ne!(data["id"], foreign.as_str());
        data["id"] == id.as_str()
    })
    .await;
}

#[tokio::test]
async fn a_stream_ends_when_its_caller_loses_their_rights() {
    let stand = Stand::start().await;
    stand.project("p").await;
    let body = json!({ "name": "ci", "role": "viewer", "projects": ["p"] });
    let made = stand.post(&stand.admin, "/api/tokens", &body).await.expect(201).json();
    let (token, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    let browser = stand.admin_browser().await;
    let request = stand.request(Method::GET, "/api/jobs/events").bearer_auth(token);
    let mut revoked = request.send().await.expect("it opens");
    let request = browser.request(Method::GET, "/api/jobs/events");
    let mut signed_out = request.send().await.expect("it opens");
    let request = stand.request(Method::GET, "/api/jobs/events").bearer_auth(&stand.admin);
    let mut lives = request.send().await.expect("it opens");

    let path = format!("/api/tokens/{id}");
    stand.send(&stand.admin, Method::DELETE, &path, &json!({})).await.expect(204);
    browser.submit("/sign-out", &[]).await.expect(303);
    for stream in [&mut revoked, &mut signed_out] {
        let end = async { while stream.chunk().await.expect("it is read").is_some() {} };
        timeout(PATIENCE, end).await.expect("it ends");
    }
    // The one whose rights are as before goes on.
    let project = stand.project("q").await;
    let id = job(&stand, &project, "watched").await;
    read_until(&mut lives, |_, data| data["id"] == id.as_str() && data["project"] == "q").await;
}

#[tokio::test]
async fn only_so_many_streams_are_open_at_a_time() {
    let config = hub::Config { event_streams_max: 1, ..hub::Config::default() };
    let stand = Stand::configured(config).await;
    let open = || stand.request(Method::GET, "/api/jobs/events").bearer_auth(&stand.admin);
    let first = open().send().await.expect("it opens");
    let refused = send(open()).await.expect(429);
    assert_eq!(refused.json()["code"], "RATE_LIMITED");
    assert_eq!(refused.header("retry-after"), "10");
    drop(first);
    let opens_again = || async {
        match open().send().await.expect("the hub answers").status().as_u16() {
            200 => Ok(()),
            status => Err(status),
        }
    };
    testkit::eventually(Duration::from_secs(20), opens_again).await;
}
