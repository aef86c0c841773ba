//! The template `commandcenter`, with real PostgreSQL and Redis.

use std::collections::BTreeMap;

use serde_json::Value;
use testkit::free_port;

use super::Stacks;

const APPLY: [&str; 7] =
    ["stack", "apply", "--template", "commandcenter", "--project", "shop", "--wait"];

/// The template with test programs as its own parts.
async fn template(backend: &'static [&'static str]) -> Stacks {
    let mut stacks = Stacks::start().await;
    let (postgres, redis) = (stacks.docker.postgres().await, stacks.docker.redis().await);
    let backend = stacks.docker.chaosd_that(backend).await;
    let frontend = stacks.docker.chaosd_that(&["http", "port=3000"]).await;
    stacks.write("postgres_password.txt", "correct horse battery");
    for (name, image) in [
        ("POSTGRES_IMAGE", postgres),
        ("REDIS_IMAGE", redis),
        ("BACKEND_IMAGE", backend),
        ("FRONTEND_IMAGE", frontend),
    ] {
        stacks.set(name, image);
    }
    stacks.set("FRONTEND_HOST_PORT", free_port());
    stacks
}

#[tokio::test(flavor = "multi_thread")]
async fn its_services_start_in_order_and_a_slow_backend_is_waited_for() {
    let mut stacks = template(&["http", "port=8000", "after=20"]).await;
    stacks.ok(&APPLY);
    stacks.own("shop").await;
    let mut started = BTreeMap::new();
    for service in ["postgres", "redis", "backend", "frontend"] {
        started.insert(stacks.inspect(service, "{{.State.StartedAt}}").await, service);
    }
    let order: Vec<&str> = started.into_values().collect();
    let health = stacks.health("shop");
    assert_eq!(order, ["postgres", "redis", "backend", "frontend"], "{health:#}");
    assert_eq!(health["status"], "ready", "{health:#}");
    let services = health["services"].as_array().expect("a list");
    assert!(services.iter().all(|it| it["restarts"] == 0), "nobody lost patience: {health:#}");
    let spec = stacks.ok(&["stack", "config", "--template", "commandcenter"]);
    let spec: Value = serde_json::from_str(&spec).expect("JSON");
    let kinds = kinds(&spec["services"]);
    assert_eq!(kinds, ["exec", "http", "postgres", "redis", "tcp"], "each is asked");

    // Postgres really has the password that only a file told it.
    let id = stacks.inspect("postgres", "{{.Id}}").await;
    let url = "postgres://app:correct%20horse%20battery@127.0.0.1/app";
    let asked = stacks.docker.run(&["exec", &id, "psql", url, "-Atc", "SELECT 42"]).await;
    assert_eq!(asked, "42");
    let seen = stacks.docker.run(&["inspect", &id]).await;
    assert!(!seen.contains("correct horse"), "a secret is in what Docker shows");
    stacks.ok(&["stack", "remove", "--volumes", "--project", "shop", "--wait"]);
    assert_eq!(stacks.containers().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_never_starts_fails_at_its_deadline_with_the_last_probe() {
    let mut stacks = template(&["http", "port=8000", "status=503"]).await;
    stacks.set("BACKEND_START_DEADLINE", "5s");
    let says = ["backend", "START_TIMEOUT", "not ready within 5 s", "the last probe said", "503"];
    stacks.fails(&APPLY, 1, &says);
    stacks.own("shop").await;
    let health = stacks.health("shop");
    let of = |name: &str| {
        let services = health["services"].as_array().expect("a list").iter();
        services.into_iter().find(|it| it["name"] == name).expect("it is there").clone()
    };
    assert_eq!(of("backend")["reason"], "START_TIMEOUT", "{health:#}");
    assert_eq!(of("postgres")["status"], "ready", "{health:#}");
    assert_ne!(of("frontend")["status"], "ready", "it waits: {health:#}");
    stacks.ok(&["stack", "remove", "--volumes", "--project", "shop", "--wait"]);
}

/// Every kind of probe that the services have.
fn kinds(services: &Value) -> Vec<String> {
    let mut kinds = std::collections::BTreeSet::new();
    for service in services.as_array().expect("a list") {
        for probe in service["probes"].as_object().into_iter().flatten() {
            kinds.extend(probe.1["kind"].as_object().into_iter().flatten().map(|it| it.0.clone()));
        }
    }
    kinds.into_iter().collect()
}
