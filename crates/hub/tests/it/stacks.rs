//! Stacks over REST: what is asked of the orchestrator, and what is recorded.

use reqwest::Method;
use serde_json::{Value, json};
use tonic::Code;

use crate::stand::{Stand, send};

fn spec(image: &str) -> Value {
    json!({ "services": [{
        "name": "web", "image": image,
        "probes": { "readiness": { "kind": { "tcp": { "port": 80 } }, "period": "2.5s" } },
    }] })
}

async fn acts(stand: &Stand) -> Vec<Value> {
    let entries = stand.get(&stand.admin, "/api/audit").await.expect(200).json();
    entries["items"].as_array().expect("entries").clone()
}

#[tokio::test]
async fn a_stack_is_applied_with_its_secrets_first() {
    let stand = Stand::start().await;
    let operator = stand.token("operator", &[]).await;
    let body = json!({ "spec": spec("web:1"), "secrets": { "password": "c3dvcmRmaXNo" } });
    let put = stand.send(&operator, Method::PUT, "/api/projects/shop/stack", &body).await;
    let operation = put.expect(202).json();
    assert_eq!((&operation["kind"], &operation["state"]), (&json!("apply"), &json!("running")));
    assert!(operation["started_at"].is_string() && operation.get("finished_at").is_none());

    // The first write has made the project, in the caller's name.
    let project = stand.get(&operator, "/api/projects/shop").await.expect(200).json();
    let stack = stand.get(&operator, "/api/projects/shop/stack").await.expect(200).json();
    assert_eq!((&stack["project_id"], &stack["desired"]), (&project["id"], &json!("running")));
    assert_eq!(stack["spec"]["services"][0]["probes"]["readiness"]["period"], "2.500s");
    assert_eq!(stand.fake.callers_of("apply_stack"), ["a operator"]);
    let calls = stand.fake.0.calls.lock().unwrap().clone();
    let place = |method: &str| calls.iter().position(|(it, _)| *it == method);
    assert!(place("put_secret") < place("apply_stack"), "{calls:?}");

    let acts = acts(&stand).await;
    let apply = acts.iter().find(|act| act["action"] == "stack.apply").expect("it is recorded");
    assert_eq!((&apply["object"], &apply["object_id"]), (&json!("shop"), &operation["id"]));
    assert_eq!(apply["after"]["images"], json!({ "web": "web:1" }));
    let put = acts.iter().find(|act| act["action"] == "secret.put").expect("it is recorded");
    assert_eq!(put["after"], json!({ "version": 1 }));
    let all = serde_json::to_string(&acts).expect("JSON");
    assert!(!all.contains("swordfish") && !all.contains("c3dvcmRmaXNo"));
}

#[tokio::test]
async fn a_refused_stack_names_the_field_and_leaves_no_project() {
    let stand = Stand::start().await;
    let put =
        async |path: &str, body: Value| stand.send(&stand.admin, Method::PUT, path, &body).await;
    let problem = put("/api/projects/shop/stack", json!({ "spec": spec("") })).await;
    assert_eq!(problem.expect(400).json()["errors"][0]["field"], "services.web.image");
    stand.get(&stand.admin, "/api/projects/shop").await.expect(404);

    stand.project("p").await;
    let typo = json!({ "spec": { "services": [{ "name": "web", "imgae": "x" }] } });
    let problem = put("/api/projects/p/stack", typo).await.expect(400).json();
    assert!(problem["detail"].as_str().unwrap().contains("imgae"), "{problem}");
    let value = json!({ "spec": spec("web:1"), "secrets": { "password": "hunter2!" } });
    let problem = put("/api/projects/p/stack", value).await.expect(400).json();
    assert_eq!(problem["errors"][0]["field"], "secrets.password");
    assert!(!problem.to_string().contains("hunter2"), "{problem}");
    let config = json!({ "name": "a", "content": "QUJD".repeat(2_000_000) });
    let large = json!({ "spec": { "configs": [config] } });
    put("/api/projects/p/stack", large).await.expect(413);
    assert!(stand.fake.callers_of("put_secret").is_empty(), "nothing was done");
    stand.get(&stand.admin, "/api/projects/p/stack").await.expect(404);
}

#[tokio::test]
async fn a_stack_is_compared_started_stopped_restarted_and_removed() {
    let stand = Stand::start().await;
    let project = stand.project("p").await;
    stand.fake.has_stack(&project);
    let operator = stand.token("operator", &["p"]).await;
    let body = json!({ "spec": spec("web:2") });
    let diff = stand.post(&operator, "/api/projects/p/stack/diff", &body).await.expect(200).json();
    assert_eq!(diff["changes"][0]["reasons"], json!(["image: a -> b"]));
    for (path, kind) in [
        ("stack/start", "start"),
        ("stack/stop", "stop"),
        ("stack/restart", "restart"),
        ("services/web/restart", "restart_service"),
    ] {
        let path = format!("/api/projects/p/{path}");
        let operation = stand.post(&operator, &path, &json!({})).await.expect(202).json();
        assert_eq!(operation["kind"], kind);
    }
    stand.post(&operator, "/api/projects/p/services/db/restart", &json!({})).await.expect(404);
    let path = "/api/projects/p/stack?volumes=true";
    stand.send(&operator, Method::DELETE, path, &json!({})).await.expect(202);
    let acts = acts(&stand).await;
    let actions: Vec<&str> = acts.iter().filter_map(|act| act["action"].as_str()).take(5).collect();
    let newest_first =
        ["stack.remove", "service.restart", "stack.restart", "stack.stop", "stack.start"];
    assert_eq!(actions, newest_first);
    assert_eq!(acts[0]["after"], json!({ "volumes": true }));
}

#[tokio::test]
async fn health_resources_failures_hardening_and_scans_are_read() {
    let stand = Stand::start().await;
    let project = stand.project("p").await;
    stand.get(&stand.admin, "/api/projects/p/health").await.expect(404);
    stand.fake.has_stack(&project);
    let viewer = stand.token("viewer", &["p"]).await;
    let get = async |path: &str| {
        stand.get(&viewer, &format!("/api/projects/P/{path}")).await.expect(200).json()
    };
    let health = get("health").await;
    assert_eq!((&health["status"], &health["generation"]), (&json!("ready"), &json!(3)));
    let web = &health["services"][0];
    assert_eq!((&web["restarts"], &web["probes"][0]["took"]), (&json!(4), &json!("0.012s")));
    assert!(web.get("exit_code").is_none() && web.get("next_restart_at").is_none());
    let usage = get("resources").await;
    assert_eq!(usage["services"][0]["memory_peak_bytes"], 96 * 1024 * 1024);
    let failures = get("failures?service=web&limit=1000").await;
    assert_eq!(failures["failures"][0]["exit_code"], 137);
    assert_eq!(failures["next_page_token"], "");
    assert_eq!(get("failures?service=db").await["failures"], json!([]));
    assert_eq!(get("hardening").await["services"][0]["checks"][0]["verdict"], "broken");
    assert_eq!(get("scans").await["verdicts"][0]["critical"], 2);
    stand.post(&viewer, "/api/projects/p/scans", &json!({})).await.expect(403);
    let scan = json!({ "service": "web" });
    let scanned = stand.post(&stand.admin, "/api/projects/p/scans", &scan).await.expect(200).json();
    assert_eq!(scanned["verdicts"][0]["verdict"], "findings");
    assert_eq!(acts(&stand).await[0]["action"], "image.scan");
}

#[tokio::test]
async fn a_secret_is_put_listed_and_deleted_and_its_value_is_never_told() {
    let stand = Stand::start().await;
    let project = stand.project("p").await;
    let put = async |name: &str, value: &str| {
        let path = format!("/api/projects/p/secrets/{name}");
        stand.send(&stand.admin, Method::PUT, &path, &json!({ "value": value })).await
    };
    put("token", "c3dvcmRmaXNo").await.expect(200);
    let second = put("token", "c3dvcmRmaXNoMg==").await.expect(200);
    assert_eq!(second.json()["version"], 2);
    let key = (project, "token".to_owned());
    let held = stand.fake.0.held.secrets.lock().unwrap().get(&key).cloned();
    assert_eq!(held, Some((2, b"swordfish2".to_vec())));
    let list = stand.get(&stand.admin, "/api/projects/p/secrets").await.expect(200);
    assert_eq!(list.json()["secrets"][0], json!({ "name": "token", "version": 2 }));
    for answer in [&list.text, &second.text, &json!(acts(&stand).await).to_string()] {
        assert!(!answer.contains("swordfish") && !answer.contains("c3dv"), "{answer}");
    }
    put("token", "not base64").await.expect(400);
    put("token", &"QUJD".repeat(30_000)).await.expect(413);
    assert_eq!(put("a%20b", "eA==").await.expect(400).json()["errors"][0]["field"], "name");
    let path = "/api/projects/p/secrets/token";
    stand.send(&stand.admin, Method::DELETE, path, &json!({})).await.expect(204);
    stand.send(&stand.admin, Method::DELETE, path, &json!({})).await.expect(404);
}

#[tokio::test]
async fn an_operation_belongs_to_its_project() {
    let stand = Stand::start().await;
    let project = stand.project("p").await;
    let other = stand.project("q").await;
    let mine = stand.fake.has_stack(&project);
    let theirs = stand.fake.has_stack(&other);
    let list = stand.get(&stand.admin, "/api/projects/p/operations?limit=5").await.expect(200);
    let list = list.json();
    assert_eq!(list["operations"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&list["operations"][0]["id"], &list["next_page_token"]),
        (&json!(mine), &json!(""))
    );
    let path = |id: &str| format!("/api/projects/p/operations/{id}");
    let one = stand.get(&stand.admin, &path(&mine)).await.expect(200).json();
    assert_eq!(one["steps"][0]["text"], "create the container");
    stand.get(&stand.admin, &path(&theirs)).await.expect(404);
    stand.get(&stand.admin, &path("nonsense")).await.expect(400);
    stand.get(&stand.admin, &(path(&theirs) + "/events")).await.expect(404);
}

#[tokio::test]
async fn an_orchestrator_that_is_away_or_too_old_is_named() {
    let stand = Stand::start().await;
    let project = stand.project("p").await;
    stand.fake.has_stack(&project);
    let status = stand.get(&stand.admin, "/api/status").await.expect(200).json();
    assert!(!status.to_string().contains("orchestrator"), "{status}");
    for (code, says) in [(Code::Unavailable, "does not answer"), (Code::Unimplemented, "cannot do")]
    {
        stand.fake.orchestrator_refuses(Some(code));
        let problem = stand.get(&stand.admin, "/api/projects/p/health").await.expect(503).json();
        assert_eq!(problem["code"], "UNAVAILABLE");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
        let request = stand.request(Method::GET, "/api/projects/p/health/events");
        send(request.bearer_auth(&stand.admin)).await.expect(503);
        let status = stand.get(&stand.admin, "/api/status").await.expect(200).json();
        let services = status["services"].as_array().expect("services");
        let failed = |it: &Value| it["name"] == "orchestrator" && it["state"] == "failed";
        assert!(services.iter().any(failed), "{status}");
    }
}
