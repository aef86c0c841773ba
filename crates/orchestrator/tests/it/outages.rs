//! A daemon of the test's own that stops, is killed, and comes back.

use std::time::Duration;

use proto::orchestrator::v1;
use testkit::{Engine, Fault, Proxy, eventually, eventually_eq};
use tokio::time::{Instant, interval};

use crate::health::http;
use crate::world::{World, stack};

/// From the return of the daemon until all is well.
const CONVERGED: Duration = Duration::from_secs(15);

/// Until it is noticed that the daemon is away.
const NOTICED: Duration = Duration::from_secs(5);

/// How long an answer may take although nobody answers us.
const ANSWERED: Duration = Duration::from_secs(1);

/// One service that is probed and one that is not.
async fn two(engine: &Engine) -> World {
    let mut world = World::within(engine).await;
    world.serve(orchestrator::Failpoint::default()).await;
    let mut web = world.service("web", "http");
    web.probes = Some(v1::Probes { readiness: Some(http("/", 0)), ..v1::Probes::default() });
    world.up(stack([web, world.service("worker", "wait")])).await;
    world
}

/// For as long as the daemon is away, nobody knows anything and nobody is charged.
async fn unknown_for(world: &World, time: Duration) {
    eventually_eq(NOTICED, "unknown".to_owned(), || async { world.health().await.status }).await;
    let end = Instant::now() + time;
    let mut looks = interval(Duration::from_millis(200));
    while Instant::now() < end {
        looks.tick().await;
        let asked = Instant::now();
        let health = world.health().await;
        assert!(asked.elapsed() < ANSWERED, "{:?}", asked.elapsed());
        assert_eq!(health.status, "unknown", "{health:#?}");
        for service in &health.services {
            assert_eq!((service.status.as_str(), service.restarts), ("unknown", 0), "{health:#?}");
            assert_eq!(service.reason, "DAEMON_UNREACHABLE");
        }
    }
}

/// All is well again, with the same containers, and nobody was charged.
async fn converged(world: &World, ids: &[String]) {
    let health = eventually(CONVERGED, || async {
        let health = world.health().await;
        if health.status == "ready" { Ok(health) } else { Err(health) }
    })
    .await;
    let restarts: Vec<u32> = health.services.iter().map(|it| it.restarts).collect();
    assert_eq!(restarts, [0, 0], "{health:#?}");
    assert_eq!(world.containers("{{.ID}}").await, ids);
    assert_eq!(world.containers("{{.State}}").await, ["running", "running"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_stops_or_is_killed_charges_nobody() {
    let mut engine = Engine::start(&[]).await;
    let world = two(&engine).await;
    let ids = world.containers("{{.ID}}").await;
    engine.stop().await;
    unknown_for(&world, Duration::from_secs(20)).await;
    engine.resume().await;
    converged(&world, &ids).await;
    engine.kill().await;
    unknown_for(&world, Duration::from_secs(2)).await;
    engine.resume().await;
    converged(&world, &ids).await;
    // What ends by itself is charged as ever.
    world.docker.run(&["kill", &world.ids("worker").await[0]]).await;
    eventually(CONVERGED, || async {
        let health = world.health().await;
        let restarts = health.services[1].restarts;
        if (health.status.as_str(), restarts) == ("ready", 1) { Ok(()) } else { Err(health) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_that_outlive_their_daemon_are_left_alone_and_deaths_are_found() {
    let mut engine = Engine::start(&["--live-restore"]).await;
    let world = two(&engine).await;
    let ids = world.containers("{{.ID}}").await;
    let started = async |service| world.inspect(service, "{{.State.StartedAt}}").await;
    let before = (started("web").await, started("worker").await);
    engine.kill().await;
    unknown_for(&world, Duration::from_secs(2)).await;
    engine.resume().await;
    converged(&world, &ids).await;
    assert_eq!((started("web").await, started("worker").await), before);

    let pid = world.inspect("worker", "{{.State.Pid}}").await;
    engine.kill().await;
    unknown_for(&world, Duration::from_secs(1)).await;
    let killed = tokio::process::Command::new("kill").args(["-9", &pid]).status().await;
    assert!(killed.expect("kill can be run").success());
    engine.resume().await;
    eventually(CONVERGED, || async {
        let now = started("worker").await;
        if now > before.1 { Ok(()) } else { Err(now) }
    })
    .await;
    converged(&world, &ids).await;
    assert_eq!(started("web").await, before.0, "it had no part in it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_strangers_events_while_nobody_listens_hides_nothing() {
    let engine = Engine::start(&[]).await;
    let proxy = Proxy::start(&engine.host()).await;
    let mut world = World::within(&engine).await;
    world.config.docker_socket = proxy.socket();
    // Nobody looks unless something wakes him.
    world.config.resync_ms = 600_000;
    world.serve(orchestrator::Failpoint::default()).await;
    world.up(stack([world.service("web", "wait")])).await;
    let id = world.ids("web").await.remove(0);
    let run = ["run", "--detach", "--network", "none", &world.image, "wait"];
    let stranger = world.docker.run(&run).await;

    proxy.fault("GET /events", Fault::Hang, usize::MAX);
    proxy.sever();
    let listeners = proxy.asked("GET /events").len();
    eventually(CONVERGED, || async {
        let now = proxy.asked("GET /events").len();
        if now > listeners { Ok(()) } else { Err(now) }
    })
    .await;
    world.becomes("ready").await;
    let looks = || async { proxy.asked("GET /containers/json").len() };
    let quiet = eventually(CONVERGED, || async {
        let before = looks().await;
        tokio::time::timeout(Duration::from_secs(2), std::future::pending::<()>()).await.ok();
        if looks().await == before { Ok(before) } else { Err(before) }
    })
    .await;
    world.docker.run(&["rm", "--force", &id]).await;
    // The Engine remembers 256 events.
    let burst = [vec!["kill", "--signal", "USR1"], vec![stranger.as_str(); 300]].concat();
    world.docker.run(&burst).await;
    assert_eq!(looks().await, quiet, "nobody knows yet");
    assert!(world.ids("web").await.is_empty());
    proxy.heal();
    eventually(CONVERGED, || async {
        let ids = world.ids("web").await;
        if ids.len() == 1 { Ok(()) } else { Err(ids) }
    })
    .await;
    world.becomes("ready").await;
    let state = world.docker.run(&["inspect", "--format", "{{.State.Status}}", &stranger]).await;
    assert_eq!(state, "running", "a stranger's container is not touched");
}
