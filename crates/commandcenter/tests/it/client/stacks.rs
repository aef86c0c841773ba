//! `stack`, as a client of the REST API.

use serde_json::{Value, json};

use super::{Ended, Instance, ok, problem, program, refusal, stream};

const FILE: &str = "services:\n  web:\n    image: app:1\n    ports: ['127.0.0.1:8080:80']\n    \
                    secrets: [key]\n    volumes: ['data:/data']\n\
                    volumes: {data: {}}\nsecrets:\n  key: {file: key.txt}\n";

const ID: &str = "0190a5e4-7c1f-7000-8000-0000000000aa";

fn operation(state: &str, steps: &[&str]) -> Value {
    let step = |text: &&str| json!({"text": text, "state": "done", "service": "web"});
    let steps: Vec<Value> = steps.iter().map(step).collect();
    json!({"id": ID, "kind": "apply", "state": state, "steps": steps, "actor": "Ann"})
}

fn health() -> Value {
    json!({"status": "ready", "reason": "", "generation": 1, "services": [
        {"name": "web", "status": "ready", "reason": "", "restarts": 0, "image": "app:1",
         "published": ["127.0.0.1:8080->80/tcp"], "probes": []},
    ]})
}

/// Runs a command in the folder of the instance.
async fn run(instance: &Instance, args: &[&str]) -> Ended {
    instance.file("compose.yaml", FILE);
    instance.file("key.txt", "correct horse");
    let mut command = program();
    command.current_dir(instance.dir.path()).env("COMMANDCENTER_DATA_DIR", instance.dir.path());
    super::finish(command, args, "").await
}

#[tokio::test]
async fn apply_sends_a_spec_that_needs_nothing_else_and_its_secrets() {
    let instance = Instance::start().await;
    instance.site.serve("/api/projects/web/stack", ok(&operation("running", &[])));
    let args = ["stack", "apply", "-f", "compose.yaml", "--project", "web"];
    let ended = run(&instance, &args).await.ok();
    assert!(ended.stdout.contains(ID), "{ended:?}");
    assert!(ended.stderr.contains("commandcenter operation show"), "{ended:?}");
    let asked = &instance.asked("projects/web/stack")[0];
    assert_eq!(asked.method, "PUT");
    let sent = &instance.sent("projects/web/stack")[0];
    assert_eq!(sent["spec"]["services"][0]["image"], "app:1");
    assert_eq!(sent["secrets"], json!({"key": "Y29ycmVjdCBob3JzZQ=="}));
    assert!(!format!("{ended:?}").contains("horse"));
    assert!(!sent["spec"].to_string().contains("Y29ycmVjdCBob3JzZQ"));
}

#[tokio::test]
async fn waiting_tells_each_step_once_and_ends_with_the_stack() {
    let instance = Instance::start().await;
    instance.site.serve("/api/projects/web/stack", ok(&operation("running", &[])));
    let event = |state: &str, steps: &[&str]| ("operation", "", operation(state, steps));
    // The connection breaks after two events.
    let first = stream(&[event("running", &["one"]), event("running", &["one", "two"])]);
    let second =
        stream(&[event("running", &["one", "two"]), event("succeeded", &["one", "two", "three"])]);
    let path = format!("/api/projects/web/operations/{ID}/events");
    instance.site.serve_each(&path, [first, second]);
    instance.answers("projects/web/health", health());
    let args = ["stack", "apply", "-f", "compose.yaml", "--project", "web", "--wait"];
    let ended = run(&instance, &args).await.ok();
    let steps: Vec<&str> = ended.stderr.lines().filter(|it| it.starts_with("done")).collect();
    assert_eq!(steps, ["done     one", "done     two", "done     three"]);
    assert!(ended.stdout.starts_with("web is ready"), "{ended:?}");
    assert!(ended.stdout.contains("127.0.0.1:8080->80/tcp"), "{ended:?}");
    instance.site.serve(&path, stream(&[event("succeeded", &[])]));
    let ended = run(&instance, &[&args[..], &["-o", "json"]].concat()).await.ok();
    assert_eq!(ended.json()["state"], "succeeded");
}

#[tokio::test]
async fn what_failed_is_told_with_its_reason_and_what_to_do() {
    let instance = Instance::start().await;
    instance.site.serve("/api/projects/web/stack", ok(&operation("running", &[])));
    let mut failed = operation("failed", &["start web"]);
    failed["reason"] = "START_TIMEOUT".into();
    failed["message"] = "web: not ready within 5 s; the last probe said: refused".into();
    failed["hint"] = "read the last probe output".into();
    let path = format!("/api/projects/web/operations/{ID}/events");
    instance.site.serve(&path, stream(&[("operation", "", failed)]));
    let args = ["stack", "apply", "-f", "compose.yaml", "--project", "web", "--wait"];
    let says = ["the last probe said: refused (START_TIMEOUT)", "read the last probe output"];
    run(&instance, &args).await.failed(1, &says);
    instance.site.serve(&path, stream(&[("operation", "", operation("superseded", &[]))]));
    run(&instance, &args).await.failed(1, &["another operation"]);
    let hangs = testkit::Response::of(testkit::Body::Slow {
        bytes: stream(&[("operation", "", operation("running", &["start web"]))]).whole(),
        chunk_bytes: 1 << 20,
        pause: std::time::Duration::from_millis(1),
    });
    instance.site.serve(&path, hangs.content_type("text/event-stream"));
    let args = [&args[..], &["--timeout", "1"]].concat();
    run(&instance, &args).await.failed(1, &["not done within 1 s", "start web", "goes on"]);
}

#[tokio::test]
async fn a_refusal_of_the_server_names_file_and_line() {
    let instance = Instance::start().await;
    let body = json!({
        "status": 400, "code": "INVALID_INPUT", "detail": "the spec has 2 faults",
        "errors": [
            {"field": "services.web.image", "detail": "is not here"},
            {"field": "spec.services.web.ports[0]", "detail": "is taken by a stranger"},
        ],
    });
    instance.site.serve("/api/projects/web/stack", refusal(400, &body));
    instance.site.serve("/api/projects/web/stack/diff", refusal(400, &body));
    for verb in ["apply", "diff"] {
        let args = ["stack", verb, "-f", "compose.yaml", "--project", "web"];
        let ended = run(&instance, &args).await;
        let says = ["compose.yaml:3: services.web.image: is not here", "compose.yaml:4: "];
        ended.failed(1, &says).failed(1, &["is taken by a stranger"]);
    }
    let missing = problem(404, "NOT_FOUND", "there is no project web");
    instance.site.serve("/api/projects/web/stack/diff", missing);
    let args = ["stack", "diff", "-f", "compose.yaml", "--project", "web"];
    run(&instance, &args).await.failed(3, &["there is no project web"]);
}

#[tokio::test]
async fn each_verb_has_its_route() {
    let instance = Instance::start().await;
    let table = [
        (&["start"][..], "POST", "stack/start", ""),
        (&["stop"], "POST", "stack/stop", ""),
        (&["restart"], "POST", "stack/restart", ""),
        (&["restart", "web"], "POST", "services/web/restart", ""),
        (&["remove"], "DELETE", "stack", "volumes=false"),
        (&["remove", "--volumes"], "DELETE", "stack", "volumes=true"),
    ];
    for (args, method, path, query) in table {
        let path = format!("projects/p/{path}");
        instance.answers(&path, operation("running", &[]));
        instance.run(&[&["stack"], args, &["--project", "p", "-o", "json"]].concat()).await.ok();
        let asked = instance.asked(&path).pop().expect("it asked");
        assert_eq!((asked.method.as_str(), asked.query.as_str()), (method, query), "{args:?}");
    }
}

#[tokio::test]
async fn status_and_diff_are_told_to_people_and_programs() {
    let instance = Instance::start().await;
    instance.answers("projects/web/health", json!({
        "status": "failed", "reason": "backend: START_TIMEOUT", "services": [{
            "name": "backend", "status": "failed", "reason": "START_TIMEOUT", "restarts": 3,
            "message": "not ready within 5 s", "hint": "read the log", "image": "app:1",
            "probes": [{"probe": "startup", "verdict": "failure", "output": "refused\u{1b}[31m"}],
        }],
    }));
    let ended = instance.run(&["stack", "status", "--project", "web"]).await.ok();
    for text in
        ["web is failed", "START_TIMEOUT", "the startup probe said: refused", "read the log"]
    {
        assert!(ended.stdout.contains(text), "{text}: {ended:?}");
    }
    assert!(!ended.stdout.contains('\u{1b}'));
    let ended = instance.run(&["stack", "status", "--project", "web", "-o", "json"]).await.ok();
    assert_eq!(ended.json()["services"][0]["restarts"], 3);

    let change = json!({"kind": "service", "name": "web", "action": "recreate",
                        "reasons": ["image: app:0 -> app:1"]});
    instance.answers("projects/web/stack/diff", json!({"changes": [change]}));
    let args = ["stack", "diff", "-f", "compose.yaml", "--project", "web"];
    let ended = run(&instance, &args).await.ok();
    assert!(ended.stdout.contains("image: app:0 -> app:1"), "{ended:?}");
    instance.answers("projects/web/stack/diff", json!({"changes": []}));
    run(&instance, &args).await.ok().says("nothing would change");
}
