//! Every kind of refusal by the API has its exit code and tells what the server said.

use serde_json::json;

use super::{Instance, TOKEN, refusal};

#[tokio::test]
async fn exit_codes_tell_the_kinds_of_refusal_apart() {
    let instance = Instance::start().await;
    for (status, code, exit) in [
        (400, "INVALID_INPUT", 2),
        (401, "UNAUTHENTICATED", 4),
        (403, "FORBIDDEN", 4),
        (404, "NOT_FOUND", 3),
        (409, "ALREADY_EXISTS", 5),
        (413, "TOO_LARGE", 1),
        (422, "NOT_A_FEED", 1),
        (429, "RATE_LIMITED", 6),
        (500, "INTERNAL", 1),
        (503, "UNAVAILABLE", 6),
        (504, "TIMEOUT", 6),
    ] {
        instance.refuses("projects", status, code, "what the server says");
        let ended = instance.run(&["project", "list", "-o", "json"]).await;
        let ended = ended.failed(exit, &["what the server says"]);
        assert!(ended.stdout.is_empty() && !ended.stderr.contains(TOKEN), "{ended:?}");
    }
}

#[tokio::test]
async fn each_field_at_fault_is_named() {
    let instance = Instance::start().await;
    let body = json!({
        "status": 400, "code": "INVALID_INPUT", "detail": "two fields are wrong",
        "errors": [
            {"field": "schedule", "detail": "\"often\" is no schedule: give hourly or cron"},
            {"field": "url", "detail": "is no URL"},
        ],
    });
    instance.site.serve("/api/sources", refusal(400, &body));
    let args = ["source", "add", "feed", "x", "--project", "p", "--schedule", "often"];
    let ended = instance.run(&args).await;
    ended.failed(2, &["two fields are wrong", "schedule: \"often\"", "url: is no URL"]);
}

#[tokio::test]
async fn a_refusal_without_words_still_says_who_refused() {
    let instance = Instance::start().await;
    instance.site.serve("/api/projects", testkit::Response::status(502));
    instance.run(&["project", "list"]).await.failed(6, &["502", &instance.site.url]);
}

#[tokio::test]
async fn when_to_come_back_and_the_trace_are_told() {
    let instance = Instance::start().await;
    let body = json!({
        "status": 503, "code": "UNAVAILABLE", "detail": "knowledge does not answer",
        "retry_after": 7, "trace_id": "0af7651916cd43dd8448eb211c80319c",
    });
    instance.site.serve("/api/knowledge/search", refusal(503, &body));
    let ended = instance.run(&["search", "words"]).await;
    ended.failed(6, &["try again in 7 s", "0af7651916cd43dd", "commandcenter status"]);
}
