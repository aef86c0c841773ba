//! `job` and `dead`.

use serde_json::{Value, json};

use super::{Instance, list};

const JOB: &str = "0190a5e4-7c1f-7000-8000-0000000000aa";

fn job() -> Value {
    json!({
        "id": JOB, "kind": "ingestion.fetch", "state": "dead", "subject": "https://a.example/f",
        "attempt": 8, "last_error": "404", "created_at": "2026-01-02T03:04:05Z",
        "attempts": [{"number": 8, "outcome": "permanent", "error": "404"}],
    })
}

#[tokio::test]
async fn jobs_are_listed_with_filters() {
    let instance = Instance::start().await;
    instance.answers("jobs", list(&[job()]));
    let args = ["job", "list", "--state", "dead", "--state", "done", "--kind", "k", "-p", "web"];
    let ended = instance.run(&args).await.ok();
    assert!(ended.stdout.contains("2026-01-02 03:04:05Z"), "{ended:?}");
    assert_eq!(
        instance.asked("jobs")[0].query,
        "state=dead&state=done&kind=k&project=web&page_size=50"
    );
}

#[tokio::test]
async fn a_job_is_shown_retried_and_cancelled() {
    let instance = Instance::start().await;
    for path in ["", "/retry", "/cancel"] {
        instance.answers(&format!("jobs/{JOB}{path}"), job());
    }
    let ended = instance.run(&["job", "show", JOB]).await.ok();
    assert!(ended.stdout.contains("permanent"), "{ended:?}");
    for verb in ["retry", "cancel"] {
        instance.run(&["job", verb, JOB, "-o", "json"]).await.ok();
        assert_eq!(instance.asked(&format!("jobs/{JOB}/{verb}"))[0].method, "POST");
    }
    instance.refuses("jobs/x%2F..", 400, "INVALID_INPUT", "no id");
    instance.run(&["job", "show", "x/.."]).await.failed(2, &["no id"]);
}

#[tokio::test]
async fn dead_jobs_are_listed_by_cause() {
    let instance = Instance::start().await;
    let group = json!({"signature": "s1", "kind": "k", "count": 3, "sample": "404 for N"});
    instance.answers("dead-letters", list(&[group]));
    let ended = instance.run(&["dead", "list", "-p", "web"]).await.ok();
    assert!(ended.stdout.contains("404 for N"), "{ended:?}");
    assert_eq!(instance.asked("dead-letters")[0].query, "project=web");
}

#[tokio::test]
async fn dead_jobs_are_counted_before_they_are_touched() {
    let instance = Instance::start().await;
    for verb in ["retry", "discard"] {
        let path = format!("dead-letters/{verb}");
        instance.answers(&path, json!({"count": 3}));
        let ended = instance.run(&["dead", verb, "--kind", "k", "--dry-run"]).await.ok();
        assert!(ended.stdout.contains("3 dead jobs"), "{ended:?}");
        // Nobody can be asked here.
        instance.run(&["dead", verb, "--kind", "k"]).await.failed(2, &["3 dead jobs", "--yes"]);
        let count_only = json!({"kind": "k", "dry_run": true});
        assert_eq!(instance.sent(&path), [count_only.clone(), count_only.clone()]);

        let args = ["dead", verb, "--kind", "k", "--signature", "s", "--id", JOB, "--yes"];
        instance.run(&args).await.ok();
        let sent = instance.sent(&path);
        let done = json!({"kind": "k", "signature": "s", "ids": [JOB], "dry_run": false});
        assert_eq!(sent.last(), Some(&done));
        assert_eq!(sent[2]["dry_run"], true);
    }
}
