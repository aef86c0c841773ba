//! A way to the Engine on which answers are lost, late, cut off and doubled.

use std::collections::BTreeMap;
use std::time::Duration;

use orchestrator::Failpoint;
use proto::orchestrator::v1;
use testkit::{Fault, Proxy, eventually, eventually_eq};
use tokio::time::{Instant, interval};

use crate::lines::{check, flood, read_all};
use crate::world::{PATIENCE, World, stack};

/// Everything that makes something.
const LOST: [&str; 4] =
    ["POST /networks/create", "POST /volumes/create", "POST /containers/create?name=", "/start"];

/// A world whose way to the machine's Engine misbehaves on demand.
async fn proxied() -> (Proxy, World) {
    let mut world = World::without().await;
    let proxy = Proxy::start(&world.docker.host).await;
    world.config.docker_socket = proxy.socket();
    world.serve(Failpoint::default()).await;
    (proxy, world)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_although_the_answer_was_lost_is_adopted() {
    let (proxy, world) = proxied().await;
    for what in LOST {
        proxy.fault(what, Fault::Lose, 1);
    }
    world.up(flood(&world, "lines=10 + wait")).await;
    let asked = |what| proxy.asked(what).len();
    assert!(LOST.iter().all(|what| asked(what) > 0), "{:?}", LOST.map(asked));
    // The container that gave the volume to its user is gone as well.
    eventually_eq(PATIENCE, vec!["running".to_owned()], || world.containers("{{.State}}")).await;
    assert_eq!((world.names("network").await.len(), world.names("volume").await.len()), (1, 1));
    assert_eq!(world.health().await.services[0].restarts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_late_cut_off_or_doubled_lose_and_double_nothing() {
    const LINES: u64 = 30_000;
    let (proxy, world) = proxied().await;
    proxy.fault("/events", Fault::Double, usize::MAX);
    proxy.fault("/containers/create?name=", Fault::Twice, 1);
    proxy.fault("/start", Fault::Twice, 1);
    proxy.fault("GET /containers/json", Fault::Cut(10), 2);
    proxy.fault("GET /containers/json", Fault::Fail, 2);
    proxy.fault("GET /containers/json", Fault::Delay(Duration::from_millis(300)), 10);
    proxy.fault("/logs?", Fault::Double, 2);
    proxy.fault("/logs?", Fault::Cut(900_001), usize::MAX);
    let spec = flood(&world, &format!("lines={LINES} rate=3000 width=100 state=/data/done + wait"));
    world.up(spec).await;
    let id = world.ids("web").await.remove(0);
    let request = v1::RestartServiceRequest { project_id: world.id(), service: "web".to_owned() };
    let answer = world.running().stacks("operator").restart_service(request).await;
    let ended = world.ended(&answer.expect("it may").into_inner().id).await;
    assert_eq!(ended.state, "succeeded", "{ended:#?}");
    let all = eventually(PATIENCE, || async {
        let all = read_all(&world).await;
        let lines = all.iter().filter(|it| it.line().is_some()).count() as u64;
        if lines >= LINES { Ok(all) } else { Err(lines) }
    })
    .await;
    assert_eq!(check(&all, LINES), 0, "lines that are missing");
    assert_eq!(world.ids("web").await, [id]);
    assert!(proxy.asked("/logs?").len() > 4, "it was cut off");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_hangs_makes_all_unknown_and_nobody_is_charged() {
    let (proxy, world) = proxied().await;
    world.up(stack([world.service("web", "wait"), world.service("worker", "wait")])).await;
    let started = world.containers("{{.ID}} {{.State}}").await;
    proxy.fault("", Fault::Hang, usize::MAX);
    proxy.sever();
    world.becomes("unknown").await;
    let end = Instant::now() + Duration::from_secs(5);
    let mut looks = interval(Duration::from_millis(200));
    while Instant::now() < end {
        looks.tick().await;
        let asked = Instant::now();
        assert_eq!(world.health().await.status, "unknown");
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    }
    proxy.heal();
    let health = eventually(Duration::from_secs(15), || async {
        let health = world.health().await;
        if health.status == "ready" { Ok(health) } else { Err(health) }
    })
    .await;
    let restarts: BTreeMap<_, _> =
        health.services.iter().map(|it| (it.name.as_str(), it.restarts)).collect();
    assert_eq!(restarts, BTreeMap::from([("web", 0), ("worker", 0)]));
    assert_eq!(world.containers("{{.ID}} {{.State}}").await, started);
}
