//! What somebody else breaks is mended, and what is not ours is left alone.

use std::time::Duration;

use testkit::{eventually, eventually_eq};

use crate::world::{PATIENCE, World, stack};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_or_changed_by_hand_is_repaired() {
    let world = World::start().await;
    world.up(stack([world.service("web", "wait")])).await;

    let id = world.ids("web").await.remove(0);
    world.docker.run(&["rm", "--force", &id]).await;
    eventually(PATIENCE, || async {
        let ids = world.ids("web").await;
        if ids.len() == 1 && ids[0] != id { Ok(()) } else { Err(ids) }
    })
    .await;
    world.becomes("ready").await;

    let id = world.ids("web").await.remove(0);
    let limits = world.inspect("web", "{{.HostConfig.PidsLimit}}").await;
    world.docker.run(&["update", "--pids-limit", "7", &id]).await;
    eventually_eq(PATIENCE, limits, || world.inspect("web", "{{.HostConfig.PidsLimit}}")).await;

    let network = world.names("network").await.remove(0);
    world.docker.run(&["network", "disconnect", "--force", &network, &id]).await;
    world.docker.attempt(&["network", "rm", &network]).await;
    let networks = || world.inspect("web", "{{len .NetworkSettings.Networks}}");
    eventually_eq(PATIENCE, "1".to_owned(), networks).await;
    eventually_eq(PATIENCE, vec![network], || world.names("network")).await;

    world.docker.run(&["stop", &id]).await;
    let state = || world.inspect("web", "{{.State.Status}}");
    eventually_eq(PATIENCE, "running".to_owned(), state).await;
    assert_eq!(world.ids("web").await, [id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_container_with_our_name_is_left_alone() {
    let world = World::start().await;
    let tail = world.project.0.simple().to_string()[24..].to_owned();
    let name = format!("cc-{tail}-web-1");
    let stranger = world
        .docker
        .run(&["run", "--detach", "--network", "none", "--name", &name, &world.image, "wait"])
        .await;
    let operation = world.apply(stack([world.service("web", "wait")])).await.expect("good");
    let ended = world.ended(&operation.id).await;
    let state = world.docker.run(&["inspect", "--format", "{{.State.Status}}", &stranger]).await;
    world.docker.run(&["rm", "--force", &stranger]).await;
    assert_eq!((ended.reason.as_str(), state.as_str()), ("NAME_TAKEN", "running"), "{ended:#?}");
    // Once the name is free, nobody needs to ask again.
    world.becomes("ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_wakes_at_once() {
    let world = World::start().await;
    world.up(stack([world.service("web", "wait")])).await;
    let id = world.ids("web").await.remove(0);
    world.docker.run(&["kill", &id]).await;
    eventually(Duration::from_secs(5), || async {
        let health = world.health().await;
        if health.status == "ready" { Err(health) } else { Ok(()) }
    })
    .await;
    let health = world.becomes("ready").await;
    assert_eq!(health.services[0].restarts, 1, "{health:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_service_that_cannot_be_made_keeps_nobody_else_waiting() {
    let world = World::start().await;
    world.up(stack([world.service("other", "wait")])).await;
    let tail = world.project.0.simple().to_string()[24..].to_owned();
    let name = format!("cc-{tail}-web-2");
    let run = ["run", "--detach", "--network", "none", "--name", &name, &world.image, "wait"];
    let stranger = world.docker.run(&run).await;
    let both = stack([world.service("other", "wait"), world.service("web", "wait")]);
    let operation = world.apply(both).await.expect("good");
    assert_eq!(world.ended(&operation.id).await.reason, "NAME_TAKEN");
    // The name is asked for ever less often; a crash of another is seen and mended as ever.
    world.docker.run(&["kill", &world.ids("other").await[0]]).await;
    let health = eventually(PATIENCE, || async {
        let health = world.health().await;
        let restarts = health.services.iter().map(|it| it.restarts).sum::<u32>();
        if restarts == 1 { Ok(health) } else { Err(health) }
    })
    .await;
    let told: Vec<_> = health.services.iter().map(|it| it.reason.as_str()).collect();
    assert_eq!(told[1], "NAME_TAKEN", "{health:#?}");
    world.docker.run(&["rm", "--force", &stranger]).await;
    world.becomes("ready").await;
}
