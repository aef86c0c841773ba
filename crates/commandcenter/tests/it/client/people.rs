//! `project`, `user` and `token`.

use std::{fs, os::unix::fs::MetadataExt as _, slice};

use serde_json::{Value, json};

use super::{Instance, list, ok};

const ID: &str = "0190a5e4-7c1f-7000-8000-000000000004";

fn ann() -> Value {
    json!({"id": ID, "name": "Ann", "role": "operator", "all_projects": true, "projects": []})
}

#[tokio::test]
async fn projects_are_made_listed_and_deleted_with_consent() {
    let instance = Instance::start().await;
    let web = json!({"id": ID, "slug": "web", "name": "Web", "state": "active"});
    instance.site.answer("/api/projects", move |request| match request.method.as_str() {
        "POST" => ok(&web),
        _ => ok(&list(slice::from_ref(&web))),
    });
    instance.answers("projects/web", json!({"job_id": "j"}));
    let ended = instance.run(&["project", "create", "web", "--name", "Web"]).await.ok();
    assert!(ended.stdout.contains("active"), "{ended:?}");
    assert_eq!(instance.sent("projects"), [json!({"slug": "web", "name": "Web"})]);
    instance.run(&["project", "list", "-o", "json"]).await.ok();
    instance.run(&["project", "delete", "web"]).await.failed(2, &["--yes"]);
    assert!(instance.asked("projects/web").is_empty());
    instance.run(&["project", "delete", "web", "--yes"]).await.ok();
    assert_eq!(instance.asked("projects/web")[0].method, "DELETE");
}

#[tokio::test]
async fn a_password_comes_from_a_file_and_is_never_echoed() {
    let instance = Instance::start().await;
    instance.answers("users", ann());
    let file = instance.file("password", "correct horse\n");
    let file = file.to_str().unwrap();
    let add = ["user", "add", "Ann", "--role", "operator", "--password-file", file];
    instance.run(&add).await.failed(2, &["--project", "--all-projects"]);
    let args = [&add[..], &["--all-projects"]].concat();
    let ended = instance.run(&args).await.ok();
    assert!(!format!("{ended:?}").contains("horse"));
    assert_eq!(
        instance.sent("users"),
        [json!({
            "name": "Ann", "role": "operator", "password": "correct horse",
            "all_projects": true, "projects": [],
        })]
    );
    let without = instance.run(&["user", "add", "Bob", "--role", "viewer", "-p", "web"]).await;
    without.failed(2, &["--password-file"]);
    instance.run(&["user", "add", "Bob", "--role", "boss"]).await.failed(2, &["viewer"]);
}

#[tokio::test]
async fn users_are_changed_and_removed_by_name() {
    let instance = Instance::start().await;
    instance.answers("users", list(&[ann()]));
    let path = format!("users/{ID}");
    instance.answers(&path, ann());
    for (flags, body) in [
        (&["--role", "admin"][..], json!({"role": "admin"})),
        (&["--project", "a", "--project", "b"], json!({"projects": ["a", "b"]})),
        (&["--all-projects"], json!({"all_projects": true})),
    ] {
        instance.run(&[&["user", "edit", "ann"], flags].concat()).await.ok();
        assert_eq!(instance.sent(&path).last(), Some(&body));
    }
    instance.run(&["user", "edit", "ann"]).await.failed(2, &["what to change"]);
    instance.run(&["user", "remove", "bob"]).await.failed(3, &["\"bob\"", "user list"]);
    instance.run(&["user", "remove", "ann"]).await.ok();
    assert_eq!(instance.asked(&path).last().unwrap().method, "DELETE");
}

#[tokio::test]
async fn a_new_tokens_secret_is_shown_once_or_written_to_a_private_file() {
    let instance = Instance::start().await;
    let made = json!({"token": "cc_new", "id": ID, "name": "ci", "role": "viewer"});
    instance.answers("tokens", made.clone());
    let create = ["token", "create", "--name", "ci", "--role", "viewer", "-p", "web"];
    let ended = instance.run(&create).await.ok();
    assert_eq!(ended.stdout, "cc_new\n");
    let json_form = [&create[..], &["--expires-in-days", "7", "-o", "json"]].concat();
    assert_eq!(instance.run(&json_form).await.ok().json(), made);
    let body = json!({
        "name": "ci", "role": "viewer", "all_projects": false, "projects": ["web"],
        "expires_in_days": 7,
    });
    assert_eq!(instance.sent("tokens").last(), Some(&body));

    let file = instance.dir.path().join("ci.token");
    let to_file = [&create[..], &["--out", file.to_str().unwrap()]].concat();
    instance.refuses("tokens", 503, "UNAVAILABLE", "try again");
    instance.run(&to_file).await.failed(6, &["try again"]);
    assert!(!file.exists(), "nothing is in the way of the next attempt");
    instance.answers("tokens", made);
    let ended = instance.run(&to_file).await.ok();
    assert!(!format!("{ended:?}").contains("cc_new"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "cc_new\n");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let asked = instance.asked("tokens").len();
    instance.run(&to_file).await.failed(1, &["ci.token"]);
    assert_eq!(instance.asked("tokens").len(), asked, "no token without a place for it");
}

#[tokio::test]
async fn tokens_are_listed_and_revoked() {
    let instance = Instance::start().await;
    instance.answers("tokens", list(&[json!({"id": ID, "name": "ci", "revoked_at": null})]));
    instance.site.serve(&format!("/api/tokens/{ID}"), testkit::Response::status(204));
    let ended = instance.run(&["token", "list"]).await.ok();
    assert!(ended.stdout.contains(ID), "{ended:?}");
    instance.run(&["token", "revoke", ID]).await.ok();
    assert_eq!(instance.asked(&format!("tokens/{ID}"))[0].method, "DELETE");
}
