//! `status`.

use serde_json::{Value, json};

use super::Instance;

fn services(knowledge: Value) -> Value {
    let since = "2026-01-02T03:04:05Z";
    json!({ "version": "0.1.0", "services": {
        "hub": {"state": "ready", "since": since, "restarts": 0},
        "knowledge": knowledge,
    }})
}

#[tokio::test]
async fn it_succeeds_only_when_every_service_is_ready() {
    let instance = Instance::start().await;
    instance.answers("status", services(json!({"state": "ready"})));
    let ended = instance.run(&["status", "-o", "json"]).await.ok();
    assert_eq!(ended.json()["services"]["knowledge"]["state"], "ready");

    let restricted = json!({"state": "degraded", "reason": "no model"});
    instance.answers("status", services(restricted));
    let ended = instance.run(&["status"]).await.ok();
    assert!(ended.stdout.contains("no model"), "{ended:?}");

    for state in ["starting", "failed", "stopping"] {
        instance.answers("status", services(json!({"state": state, "reason": "why"})));
        let ended = instance.run(&["status", "-o", "json"]).await;
        let ended = ended.failed(1, &["knowledge"]);
        assert_eq!(ended.json()["services"]["knowledge"]["state"], state);
    }
    instance.answers("status", json!({"services": {}}));
    instance.run(&["status"]).await.failed(1, &["no service"]);
}
