//! From the first apply to the removal, in the forms that the README promises.

use testkit::{eventually, free_port};
use tokio::net::TcpStream;

use super::{PATIENCE, Stacks};

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_is_applied_watched_restarted_and_removed() {
    let mut stacks = Stacks::start().await;
    let port = free_port();
    let image = stacks.image.clone();
    stacks.write(
        "compose.yaml",
        &format!(
            "services:
  web:
    image: {image}
    command: print text=hello + http port=8000
    ports: ['127.0.0.1:{port}:8000']
    volumes: ['kept:/data']
    x-commandcenter: {{probes: {{readiness: {{http: {{port: 8000, path: /}}}}}}}}
volumes: {{kept: {{}}}}
"
        ),
    );
    stacks.ok(&["project", "create", "P"]);
    let apply = ["stack", "apply", "-f", "compose.yaml", "--project", "P", "--wait"];
    stacks.ok(&apply);
    stacks.own("P").await;
    TcpStream::connect(("127.0.0.1", port)).await.expect("it is published");

    let health = stacks.health("P");
    assert_eq!(health["status"], "ready", "{health:#}");
    assert_eq!(health["services"][0]["name"], "web", "{health:#}");
    let hellos = |tail: &str| {
        let lines = stacks.ok(&["logs", "P", "web", "--tail", tail]);
        lines.lines().filter(|it| *it == "hello").count()
    };
    eventually(PATIENCE, || async { if hellos("100") == 1 { Ok(()) } else { Err("no hello") } })
        .await;
    let top = stacks.instance.json(&["top", "--project", "P"]);
    assert_eq!(top["services"][0]["memory_limit_bytes"], 512 << 20, "{top:#}");
    assert!(stacks.ok(&["stack", "diff", "--project", "P"]).is_empty(), "nothing would change");

    // One timeline over the restart.
    let before = stacks.inspect("web", "{{.State.StartedAt}}").await;
    stacks.ok(&["stack", "restart", "web", "--project", "P", "--wait"]);
    assert_ne!(stacks.inspect("web", "{{.State.StartedAt}}").await, before);
    eventually(PATIENCE, || async { if hellos("100") == 2 { Ok(()) } else { Err("no second") } })
        .await;
    let kinds = stacks.instance.json(&["operation", "list", "--project", "P"]);
    let kinds: Vec<_> = kinds["operations"].as_array().expect("a list").iter().collect();
    assert_eq!(kinds[0]["kind"], "restart_service", "{kinds:#?}");
    assert!(kinds.iter().all(|it| it["state"] == "succeeded"), "{kinds:#?}");

    stacks.ok(&["stack", "stop", "--project", "P", "--wait"]);
    assert_eq!(stacks.health("P")["status"], "stopped");
    stacks.ok(&["stack", "start", "--project", "P", "--wait"]);
    assert_eq!(stacks.health("P")["status"], "ready");

    stacks.ok(&["stack", "remove", "--volumes", "--project", "P", "--wait"]);
    assert_eq!(stacks.containers().await, 0);
    stacks.ok(&["project", "delete", "P", "--yes"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn stacks_outlive_up_which_says_so() {
    let mut stacks = Stacks::start().await;
    let image = stacks.image.clone();
    stacks.write("compose.yaml", &format!("services: {{web: {{image: {image}, command: wait}}}}"));
    stacks.ok(&["stack", "apply", "--project", "p", "--wait"]);
    stacks.own("p").await;
    let container = stacks.inspect("web", "{{.Id}} {{.State.StartedAt}}").await;
    stacks.instance.stop().await;
    let log = stacks.instance.log();
    assert!(log.contains("1 stack goes on without CommandCenter"), "{log}");
    assert_eq!(stacks.inspect("web", "{{.State.Running}}").await, "true");

    stacks.instance.launch().await;
    eventually(PATIENCE, || async {
        let health = stacks.health("p");
        if health["status"] == "ready" { Ok(()) } else { Err(health) }
    })
    .await;
    assert_eq!(stacks.inspect("web", "{{.Id}} {{.State.StartedAt}}").await, container);
    stacks.ok(&["stack", "remove", "--project", "p", "--wait"]);
    stacks.instance.stop().await;
    let log = stacks.instance.log();
    assert_eq!(log.matches("on without CommandCenter").count(), 1, "there is none any more");
}
