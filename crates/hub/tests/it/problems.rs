//! Refusals name the thing, the limit and the remedy.

use reqwest::Method;
use serde_json::json;

use crate::stand::{Stand, send};

#[tokio::test]
async fn a_refusal_is_a_problem_document() {
    let stand = Stand::start().await;
    let answer = stand.get(&stand.admin, "/api/projects/nowhere").await.expect(404);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem = answer.json();
    assert_eq!(problem["type"], "/api/docs#NOT_FOUND");
    assert_eq!(problem["title"], "Not found");
    assert_eq!(problem["status"], 404);
    assert_eq!(problem["code"], "NOT_FOUND");
    assert_eq!(problem["detail"], "there is no project nowhere");
    assert_eq!(problem["errors"][0]["field"], "project");
}

#[tokio::test]
async fn a_wrong_body_names_the_field() {
    let stand = Stand::start().await;
    let check = async |path: &str, body: serde_json::Value, field: &str, says: &str| {
        let problem = stand.post(&stand.admin, path, &body).await.expect(400).json();
        assert_eq!(problem["code"], "INVALID_INPUT", "{problem}");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
        assert!(problem["detail"].as_str().unwrap_or_default().contains(says), "{problem}");
    };
    let source = |priority: serde_json::Value| json!({ "project": "p", "kind": "feed", "url": "https://a.example/f", "priority": priority });
    for priority in [json!(0), json!(11), json!("high"), json!(2.5)] {
        check("/api/sources", source(priority), "priority", "from 1 to 10").await;
    }
    let url = json!({ "project": "p", "kind": "feed", "url": "not a url" });
    check("/api/sources", url, "url", "https://example.org/feed.xml").await;
    let cron = json!({
        "project": "p", "kind": "feed", "url": "https://a.example/f",
        "schedule": "every now and then",
    });
    check("/api/sources", cron, "schedule.expression", "write hourly").await;
    let role = json!({ "name": "x", "role": "owner" });
    check("/api/tokens", role, "role", "viewer, operator or admin").await;
    let days = json!({ "name": "x", "role": "viewer", "expires_in_days": 0 });
    check("/api/tokens", days, "expires_in_days", "1 to 3650 days").await;
    let password =
        json!({ "name": "x", "role": "viewer", "all_projects": true, "password": "short" });
    check("/api/users", password, "password", "10 to 256").await;
    let nowhere = json!({ "name": "x", "role": "viewer", "projects": [] });
    check("/api/tokens", nowhere, "projects", "all_projects").await;
    let both = json!({ "name": "x", "role": "viewer", "all_projects": true, "projects": ["p"] });
    check("/api/tokens", both, "projects", "not both").await;
    let nowhere = json!({ "name": "x", "role": "viewer", "password": "correct horse" });
    check("/api/users", nowhere, "projects", "all_projects").await;
    check("/api/projects", json!({ "slug": "a b" }), "slug", "letters, digits").await;
    check("/api/knowledge/search", json!({ "q": " " }), "q", "what to search for").await;
    let mode = json!({ "q": "x", "mode": "psychic" });
    check("/api/knowledge/search", mode, "mode", "hybrid, lexical or semantic").await;
    let typo = json!({ "slug": "x", "nmae": "y" });
    let problem = stand.post(&stand.admin, "/api/projects", &typo).await.expect(400).json();
    assert!(problem["detail"].as_str().unwrap_or_default().contains("nmae"), "{problem}");
}

#[tokio::test]
async fn what_is_not_json_is_refused_as_such() {
    let stand = Stand::start().await;
    let post = || stand.request(Method::POST, "/api/projects").bearer_auth(&stand.admin);
    send(post().body("{\"slug\": \"p\"}")).await.expect(415);
    let json = || post().header("content-type", "application/json");
    send(json().body("{")).await.expect(400);
    send(json().body("{\"slug\": \"p\"} x")).await.expect(400);
    let large = "x".repeat(25 * 1024 * 1024);
    let problem = send(json().body(large)).await.expect(413).json();
    assert_eq!(problem["code"], "TOO_LARGE");
    assert!(problem["detail"].as_str().unwrap_or_default().contains("24 MiB"));
}

#[tokio::test]
async fn unknown_parameters_are_named() {
    let stand = Stand::start().await;
    let problem = stand.get(&stand.admin, "/api/jobs?sate=dead").await.expect(400).json();
    assert!(problem["detail"].as_str().unwrap_or_default().contains("sate"), "{problem}");
}
