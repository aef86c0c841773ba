//! Live jobs by server-sent events.

use std::time::Duration;

use proto::JobId;
use reqwest::Method;
use serde_json::Value;
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
