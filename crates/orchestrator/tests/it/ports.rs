//! A port that is taken: by whom, and what to do.

use proto::ProjectId;
use proto::orchestrator::v1;
use testkit::eventually;
use tokio::net::TcpListener;

use crate::world::{PATIENCE, World, stack};

fn published(world: &World, name: &str, port: u16) -> v1::ServiceSpec {
    let mut web = world.service(name, "http");
    web.ports = vec![v1::Port { container: 8000, host: port.into(), ..v1::Port::default() }];
    web
}

/// What a service waits for, once its port is taken.
async fn taken(world: &World, name: &str) -> v1::ServiceHealth {
    eventually(PATIENCE, || async {
        let services = world.health().await.services;
        let it = services.into_iter().find(|it| it.name == name).expect("it is declared");
        if it.reason == "PORT_IN_USE" { Ok(it) } else { Err(it) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_names_the_container_that_holds_it() {
    let world = World::start().await;
    let project = format!("cc.project={}", ProjectId::generate());
    let flags = ["--publish", "127.0.0.1::8000", "--label", &project, "--label", "cc.service=shop"];
    let holder = world.docker.run_chaosd(&flags, &["http"]).await;
    let listens = world.docker.run(&["port", &holder, "8000/tcp"]).await;
    let port: u16 = listens.rsplit(':').next().and_then(|it| it.parse().ok()).expect("a port");
    let name = world.docker.run(&["inspect", "--format", "{{.Name}}", &holder]).await;

    world.apply(stack([published(&world, "web", port)])).await.expect("a good spec");
    let told = taken(&world, "web").await;
    let who = format!("the container {} (service shop of", name.trim_start_matches('/'));
    assert!(told.message.starts_with(&format!("port {port} is taken by {who}")), "{told:#?}");
    assert!(told.hint.contains(&who), "{told:#?}");
    // Once the port is free, nobody needs to ask.
    world.docker.run(&["rm", "--force", &holder]).await;
    world.becomes("ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_the_host_holds_says_which_command_tells() {
    let world = World::start().await;
    let held = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = held.local_addr().expect("it is bound").port();
    world.apply(stack([published(&world, "web", port)])).await.expect("a good spec");
    let told = taken(&world, "web").await;
    assert!(told.message.contains("by the host itself"), "{told:#?}");
    assert!(told.hint.contains("ss ") && told.hint.contains(&port.to_string()), "{told:#?}");
    drop(held);
    world.becomes("ready").await;
}
