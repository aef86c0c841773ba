//! Killed at every step of a plan, the next orchestrator finishes the work.

use std::time::Duration;

use orchestrator::Failpoint;
use proto::orchestrator::v1;
use testkit::{eventually, eventually_eq};

use crate::world::{World, after, stack};

/// Points of a first apply of [`spec`]: a network, a volume, two containers, a place for files,
/// two starts and the removal of a helper, one point before and one after each, and one within the
/// filling.
const POINTS: u32 = 17;

/// After the return, a stack is as it shall be within this time.
const CONVERGED: Duration = Duration::from_secs(10);

fn spec(world: &World) -> v1::StackSpec {
    let mut store = world.service("store", "wait");
    store.mounts = vec![v1::Mount {
        kind: "volume".to_owned(),
        source: "data".to_owned(),
        target: "/data".to_owned(),
        ..v1::Mount::default()
    }];
    let mut web = world.service("web", "wait");
    web.depends_on = vec![after("store", "started")];
    web.configs = vec![v1::ConfigMount { name: "web".to_owned(), ..v1::ConfigMount::default() }];
    let volumes = vec![v1::VolumeSpec { name: "data".to_owned() }];
    let configs = vec![v1::ConfigSpec { name: "web".to_owned(), content: b"listen".to_vec() }];
    v1::StackSpec { volumes, configs, ..stack([store, web]) }
}

/// Kills the orchestrator at the point, returns, and waits until all is well.
async fn killed_at(point: u32) {
    let mut world = World::without().await;
    let failpoint = Failpoint::at(point);
    world.serve(failpoint.clone()).await;
    let operation = world.apply(spec(&world)).await.expect("a good spec");
    tokio::time::timeout(CONVERGED, failpoint.reached()).await.expect("the point is reached");
    world.kill().await;
    let volumes = world.names("volume").await;

    world.serve(Failpoint::default()).await;
    let ended = eventually(CONVERGED, || async {
        let operation = world.operation(&operation.id).await;
        if operation.state == "running" { Err(operation) } else { Ok(operation) }
    })
    .await;
    assert_eq!(ended.state, "succeeded", "at point {point}: {ended:#?}");
    // A helper that a kill left behind goes, and with it nothing that is needed.
    eventually_eq(CONVERGED, 2, || async { world.containers("{{.State}}").await.len() }).await;
    assert_eq!(world.containers("{{.State}}").await, ["running", "running"], "at {point}");
    let web = world.ids("web").await.remove(0);
    let has = ["exec", &web, "/chaosd", "has", "path=/web"];
    world.docker.run(&has).await;
    assert_eq!((world.ids("store").await.len(), world.ids("web").await.len()), (1, 1));
    assert_eq!(world.names("network").await.len(), 1, "at point {point}");
    let now = world.names("volume").await;
    assert!(now.len() == 2 && volumes.iter().all(|it| now.contains(it)), "at point {point}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_is_killed_at_any_step_is_finished() {
    for point in 0..POINTS {
        killed_at(point).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_that_is_killed_at_any_step_is_finished() {
    // Stop, remove, create, start; each with a point before and one after.
    for point in 0..8 {
        let mut world = World::start().await;
        world.up(spec(&world)).await;
        world.kill().await;
        let volumes = world.names("volume").await;
        let mut changed = spec(&world);
        changed.services[0].environment.insert("COLOUR".to_owned(), "blue".to_owned());
        let failpoint = Failpoint::at(point);
        world.serve(failpoint.clone()).await;
        let operation = world.apply(changed).await.expect("a good spec");
        tokio::time::timeout(CONVERGED, failpoint.reached()).await.expect("it is reached");
        world.kill().await;
        world.serve(Failpoint::default()).await;
        let ended = world.ended(&operation.id).await;
        assert_eq!(ended.state, "succeeded", "at point {point}: {ended:#?}");
        let env = world.inspect("store", "{{.Config.Env}}").await;
        assert!(env.contains("COLOUR=blue"), "at point {point}: {env}");
        assert_eq!(world.names("volume").await, volumes, "at point {point}");
    }
}
