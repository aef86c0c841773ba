//! `top`, `operation`, `failure`, `secret`, `hardening`, `scan`, `project show`.

use serde_json::json;

use super::Instance;

#[tokio::test]
async fn usage_is_told_once_without_a_terminal() {
    let instance = Instance::start().await;
    let web = json!({"name": "web", "at": "2026-01-02T03:04:05Z", "cpu_millis": 125.0,
                     "cpu_limit_millis": 1000, "memory_bytes": 1 << 20,
                     "memory_limit_bytes": 4 << 20, "pids": 3, "pids_limit": 9});
    instance.answers("projects/p/resources", json!({"services": [web]}));
    let ended = instance.run(&["top", "--project", "p"]).await.ok();
    assert!(ended.stdout.contains("0.12 / 1.00") && ended.stdout.contains("25 %"), "{ended:?}");
    let ended = instance.run(&["top", "--project", "p", "-o", "json"]).await.ok();
    assert_eq!(ended.json()["services"][0]["pids"], 3);
    assert_eq!(instance.asked("projects/p/resources").len(), 2);
}

#[tokio::test]
async fn operations_are_listed_and_shown_with_their_steps() {
    let instance = Instance::start().await;
    let done = json!({"id": "o1", "kind": "stop", "state": "succeeded", "actor": "Ann",
                      "steps": [{"text": "stop web", "state": "done", "service": "web"}]});
    let list = json!({"operations": [done], "next_page_token": "more"});
    instance.answers("projects/p/operations", list);
    instance.answers("projects/p/operations/o1", done);
    let ended = instance.run(&["operation", "list", "--project", "p", "--limit", "1"]).await.ok();
    assert!(ended.stdout.contains("o1") && ended.stdout.contains("Ann"), "{ended:?}");
    ended.says("there are more");
    assert_eq!(instance.asked("projects/p/operations")[0].query, "limit=1");
    let ended = instance.run(&["operation", "show", "o1", "--project", "p"]).await.ok();
    assert!(ended.stdout.contains("stop web"), "{ended:?}");
}

#[tokio::test]
async fn secrets_come_from_files_and_are_never_shown() {
    let instance = Instance::start().await;
    let secret = json!({"name": "key", "version": 2, "created_at": "2026-01-02T03:04:05Z"});
    instance.answers("projects/p/secrets/key", secret.clone());
    instance.answers("projects/p/secrets", json!({"secrets": [secret]}));
    let put = ["secret", "put", "key", "--project", "p", "--file"];
    let file = instance.file("value", "correct horse\n");
    let ended = instance.run(&[&put[..], &[file.to_str().unwrap()]].concat()).await.ok();
    assert!(!format!("{ended:?}").contains("horse"));
    instance.run_with(&[&put[..], &["-"]].concat(), "hunter2").await.ok();
    let asked = instance.asked("projects/p/secrets/key");
    assert!(asked.iter().all(|it| it.method == "PUT"));
    let sent = instance.sent("projects/p/secrets/key");
    // The bytes of the file as they are, its last line end too.
    assert_eq!(sent, [json!({"value": "Y29ycmVjdCBob3JzZQo="}), json!({"value": "aHVudGVyMg=="})]);
    instance.run_with(&[&put[..], &["-"]].concat(), "").await.failed(2, &["empty"]);
    let large = "x".repeat(65_537);
    instance.run_with(&[&put[..], &["-"]].concat(), &large).await.failed(2, &["65536 bytes"]);
    instance.run(&[&put[..], &["/nonexistent"]].concat()).await.failed(3, &["--file"]);
    let ended = instance.run(&["secret", "list", "--project", "p"]).await.ok();
    assert!(ended.stdout.contains("key"), "{ended:?}");
    instance.site.serve("/api/projects/p/secrets/key", testkit::Response::status(204));
    instance.run(&["secret", "delete", "key", "--project", "p"]).await.ok();
    assert_eq!(instance.asked("projects/p/secrets/key").last().unwrap().method, "DELETE");
}

#[tokio::test]
async fn failures_hardening_and_verdicts_are_tables() {
    let instance = Instance::start().await;
    let failure = json!({"service": "web", "reason": "OUT_OF_MEMORY", "exit_code": 137,
                         "message": "the kernel ended it", "hint": "raise its limit"});
    instance.answers("projects/p/failures", json!({"failures": [failure]}));
    let ended = instance.run(&["failure", "list", "--project", "p", "--service", "web"]).await.ok();
    assert!(ended.stdout.contains("raise its limit"), "{ended:?}");
    assert_eq!(instance.asked("projects/p/failures")[0].query, "limit=20&service=web");

    let check = json!({"name": "user", "wanted": "20000", "found": "20000", "verdict": "kept"});
    let report = json!({"service": "web", "hardened": true, "checks": [check]});
    instance.answers("projects/p/hardening", json!({"services": [report]}));
    let ended = instance.run(&["hardening", "--project", "p"]).await.ok();
    assert!(ended.stdout.contains("kept"), "{ended:?}");

    let verdict = json!({"service": "web", "verdict": "stale", "critical": 1});
    instance.answers("projects/p/scans", json!({"verdicts": [verdict]}));
    let ended = instance.run(&["scan", "--project", "p", "--service", "web"]).await.ok();
    assert!(ended.stdout.contains("stale"), "{ended:?}");
    assert_eq!(instance.sent("projects/p/scans"), [json!({"service": "web"})]);
    instance.run(&["scan", "--project", "p", "--last"]).await.ok();
    assert_eq!(instance.asked("projects/p/scans")[1].method, "GET");

    instance.answers("projects/p", json!({"id": "1", "slug": "p", "state": "active"}));
    let ended = instance.run(&["project", "show", "p"]).await.ok();
    assert!(ended.stdout.contains("active"), "{ended:?}");
}
