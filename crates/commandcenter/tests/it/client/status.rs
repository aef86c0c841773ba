//! `status`.

use serde_json::{Value, json};

use super::Instance;

fn services(state: &str, reason: &str) -> Value {
    let since = "2026-01-02T03:04:05Z";
    json!({ "version": "0.1.0", "state": state, "services": [
        {"name": "hub", "state": "ready", "reason": "", "since": since, "restarts": 0},
        {"name": "knowledge", "state": state, "reason": reason, "since": since, "restarts": 1},
    ]})
}

#[tokio::test]
async fn it_succeeds_only_when_every_service_is_ready() {
    let instance = Instance::start().await;
    instance.answers("status", services("ready", ""));
    let ended = instance.run(&["status", "-o", "json"]).await.ok();
    assert_eq!(ended.json()["services"][1]["state"], "ready");

    instance.answers("status", services("degraded", "no model"));
    let ended = instance.run(&["status"]).await.failed(1, &["knowledge"]);
    assert!(ended.stdout.contains("no model"), "{ended:?}");

    for state in ["degraded", "starting", "failed", "stopping"] {
        instance.answers("status", services(state, "why"));
        let ended = instance.run(&["status", "-o", "json"]).await;
        let ended = ended.failed(1, &["knowledge"]);
        assert_eq!(ended.json()["services"][1]["state"], state);
    }
    instance.answers("status", json!({"services": []}));
    instance.run(&["status"]).await.failed(1, &["no service"]);
}
