//! `doctor`.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::{Value, json};

use super::{Ended, Instance, TOKEN, finish, program};

fn verdict(ended: &Ended, name: &str) -> Value {
    let report = ended.json();
    let checks = report["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["name"] == name);
    check.unwrap_or_else(|| panic!("no check {name}: {report:#}"))["verdict"].clone()
}

fn keep_private(instance: &Instance) {
    let token = instance.dir.path().join("admin.token");
    fs::set_permissions(token, fs::Permissions::from_mode(0o600)).expect("it is ours");
}

fn status(knowledge: &str) -> Value {
    json!({ "version": env!("CARGO_PKG_VERSION"), "services": [
        {"name": "hub", "state": "ready", "reason": ""},
        {"name": "knowledge", "state": knowledge, "reason": "no model"},
    ]})
}

#[tokio::test]
async fn a_sound_installation_passes() {
    let instance = Instance::start().await;
    keep_private(&instance);
    instance.answers("status", status("degraded"));
    let ended = instance.run(&["doctor", "-o", "json"]).await.ok();
    for name in ["data directory", "administrator's token", "instance", "address", "version"] {
        assert_eq!(verdict(&ended, name), "pass", "{name}");
    }
    assert_eq!(verdict(&ended, "service hub"), "pass");
    assert_eq!(verdict(&ended, "service knowledge"), "warn");
    let ended = instance.run(&["doctor"]).await.ok();
    assert!(ended.stdout.contains("pass  service hub: ready"), "{ended:?}");
    assert!(!format!("{ended:?}").contains(TOKEN));
}

#[tokio::test]
async fn each_failure_has_its_remedy() {
    let instance = Instance::start().await;
    instance.refuses("status", 401, "UNAUTHENTICATED", "the token is unknown");
    let ended = instance.run(&["doctor", "-o", "json"]).await.failed(1, &["2 checks failed"]);
    assert_eq!(verdict(&ended, "administrator's token"), "fail", "others can read it");
    assert_eq!(verdict(&ended, "token"), "fail");
    let report = ended.json();
    for check in report["checks"].as_array().unwrap() {
        assert_eq!(check["verdict"] == "pass", check["fix"] == "", "{check}");
    }

    keep_private(&instance);
    instance.answers("status", status("failed"));
    let ended = instance.run(&["doctor", "-o", "json"]).await.failed(1, &["a check failed"]);
    assert_eq!(verdict(&ended, "service knowledge"), "fail");
}

#[tokio::test]
async fn a_missing_instance_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let args = ["doctor", "-o", "json", "--data-dir", missing.to_str().unwrap()];
    let ended = finish(program(), &args, "").await;
    assert_eq!(ended.code, 1, "{ended:?}");
    assert_eq!(verdict(&ended, "data directory"), "fail");
    assert_eq!(verdict(&ended, "instance"), "fail");
}

#[tokio::test]
async fn a_process_that_was_killed_is_noticed() {
    let instance = Instance::start().await;
    keep_private(&instance);
    // No kernel hands out a process id as large as this.
    let gone = json!({"http": "http://127.0.0.1:1", "pid": 2_000_000_000});
    instance.file("instance.json", &gone.to_string());
    let ended = instance.run(&["doctor", "-o", "json"]).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    assert_eq!(verdict(&ended, "instance"), "fail");
}

#[tokio::test]
async fn without_docker_only_stacks_are_missing() {
    let instance = Instance::start().await;
    keep_private(&instance);
    instance.answers("status", status("ready"));
    let ended = instance.run(&["doctor"]).await.ok();
    assert!(ended.stdout.contains("pass  docker: Engine "), "{ended:?}");
    assert!(ended.stdout.contains(", API 1."), "{ended:?}");
    assert!(ended.stdout.contains(", cgroup v"), "{ended:?}");

    let mut command = program();
    command
        .env("COMMANDCENTER_DATA_DIR", instance.dir.path())
        .env("COMMANDCENTER__ORCHESTRATOR__DOCKER_SOCKET", "/nonexistent/docker.sock");
    let ended = finish(command, &["doctor", "-o", "json"], "").await.ok();
    assert_eq!(verdict(&ended, "docker"), "warn");
    let report = ended.json().to_string();
    for text in ["/nonexistent/docker.sock", "orchestrator.docker_socket", "only stacks need it"] {
        assert!(report.contains(text), "{text}: {report}");
    }
}
