//! How commands find their instance, and how they say that they did not.

use std::fs;

use serde_json::json;

use super::{Instance, TOKEN, finish, list, program};

#[tokio::test]
async fn the_data_directory_leads_to_the_instance() {
    let instance = Instance::start().await;
    instance.answers("projects", list(&[]));
    instance.run(&["project", "list"]).await.ok();
    let mut command = program();
    command.env("XDG_DATA_HOME", "/nonexistent");
    let dir = instance.dir.path().to_str().unwrap();
    finish(command, &["project", "list", "--data-dir", dir], "").await.ok();
    let asked = instance.asked("projects");
    assert_eq!(asked.len(), 2);
    for request in asked {
        assert_eq!(request.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    }
}

#[tokio::test]
async fn the_environment_may_name_address_and_token() {
    let instance = Instance::start().await;
    instance.answers("projects", list(&[]));
    let token = instance.file("mine", "another-token");
    let mut command = program();
    command.env("COMMANDCENTER_URL", &instance.site.url).env("COMMANDCENTER_TOKEN_FILE", token);
    finish(command, &["project", "list"], "").await.ok();
    let asked = instance.asked("projects");
    assert_eq!(asked[0].header("authorization"), Some("Bearer another-token"));
}

#[tokio::test]
async fn without_an_instance_the_remedy_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    let ended = finish(program(), &["status", "--data-dir", dir], "").await;
    ended.failed(6, &[dir, "commandcenter up", "COMMANDCENTER_URL"]);
}

#[tokio::test]
async fn an_instance_that_is_gone_is_unavailable() {
    let instance = Instance::start().await;
    let port = testkit::free_port();
    let gone = json!({ "http": format!("http://127.0.0.1:{port}"), "pid": std::process::id() });
    instance.file("instance.json", &gone.to_string());
    instance.run(&["status"]).await.failed(6, &["does not answer", "commandcenter doctor"]);
}

#[tokio::test]
async fn a_silent_instance_is_given_up_after_the_timeout() {
    let instance = Instance::start().await;
    let silence = testkit::Response::of(testkit::Body::Silence);
    instance.site.serve("/api/projects", silence);
    let ended = instance.run(&["project", "list", "--timeout", "1"]).await;
    ended.failed(6, &["took longer than 1 s", "--timeout"]);
}

#[tokio::test]
async fn a_token_never_leaves_in_clear_text() {
    let instance = Instance::start().await;
    let token = instance.file("mine", TOKEN);
    for url in ["http://center.example.org", "http://192.0.2.1:8080"] {
        let args = ["status", "--url", url, "--token-file", token.to_str().unwrap()];
        let ended = instance.run(&args).await.failed(2, &["clear text", "https"]);
        assert!(!ended.stderr.contains(TOKEN));
    }
}

#[tokio::test]
async fn the_local_token_is_not_shown_to_another_address() {
    let instance = Instance::start().await;
    let other = testkit::Site::start().await;
    let ended = instance.run(&["status", "--url", &other.url]).await;
    ended.failed(2, &["--token-file"]);
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let instance = Instance::start().await;
    let other = testkit::Site::start().await;
    instance.site.serve("/api/projects", testkit::Response::redirect(&other.url("/api/projects")));
    instance.run(&["project", "list"]).await.failed(1, &["not as CommandCenter does"]);
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn a_missing_or_empty_token_is_told() {
    let instance = Instance::start().await;
    let empty = instance.file("empty", "\n");
    let empty = ["status", "--token-file", empty.to_str().unwrap()];
    instance.run(&empty).await.failed(2, &["does not hold an API token", "token create"]);
    fs::remove_file(instance.dir.path().join("admin.token")).unwrap();
    instance.run(&["status"]).await.failed(3, &["admin.token", "--token-file"]);
}

#[tokio::test]
async fn another_program_at_the_address_is_recognised() {
    let instance = Instance::start().await;
    instance.site.serve("/api/projects", testkit::Response::ok("<html>"));
    instance.run(&["project", "list"]).await.failed(1, &["not as CommandCenter does"]);
}

#[tokio::test]
async fn a_stranger_on_a_dead_instances_port_sees_no_token() {
    let instance = Instance::start().await;
    instance.answers("status", json!({}));
    // The file of another start than that of whoever holds the lock now.
    let stale = json!({ "http": instance.site.url, "pid": 2_000_000_000 });
    instance.file("instance.json", &stale.to_string());
    instance.run(&["status"]).await.failed(6, &["no CommandCenter runs"]);
    let ours = json!({ "http": instance.site.url, "pid": std::process::id() });
    instance.file("instance.json", &ours.to_string());
    instance.end();
    instance.run(&["status"]).await.failed(6, &["no CommandCenter runs"]);
    assert!(instance.site.requests().is_empty());
}
