//! The right verdict on the right service, and nothing happens to the others.

use std::process::Stdio;
use std::time::{Duration, SystemTime};

use orchestrator::Failpoint;
use proto::orchestrator::v1;
use proto::orchestrator::v1::health_service_client::HealthServiceClient;
use testkit::{Proxy, eventually};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use crate::health::http;
use crate::world::{PATIENCE, World, after, seconds, stack};

/// What looks at the stack, asks the database, and reaches the Engine, on a busy machine.
const OVERHEAD: Duration = Duration::from_millis(200);

/// A service beside the one that suffers, and one that depends on it.
async fn beside(world: &World, suffers: v1::ServiceSpec) -> v1::StackSpec {
    let mut dependent = world.service("dependent", "wait");
    dependent.depends_on = vec![after(&suffers.name, "started")];
    stack([suffers, world.service("other", "wait"), dependent])
}

fn limited(mut service: v1::ServiceSpec, mib: u64) -> v1::ServiceSpec {
    let resources = v1::Resources { memory_bytes: mib << 20, ..v1::Resources::default() };
    service.resources = Some(resources);
    service
}

async fn service(world: &World, name: &str) -> v1::ServiceHealth {
    let health = world.health().await;
    health.services.into_iter().find(|it| it.name == name).expect("it is in the stack")
}

/// The service once the condition holds.
async fn until(
    world: &World,
    name: &str,
    condition: impl Fn(&v1::ServiceHealth) -> bool,
) -> v1::ServiceHealth {
    eventually(PATIENCE, || async {
        let seen = service(world, name).await;
        if condition(&seen) { Ok(seen) } else { Err(seen) }
    })
    .await
}

/// When the processes of these services started.
async fn started(world: &World, services: [&str; 2]) -> [String; 2] {
    let one = async |service| world.inspect(service, "{{.State.StartedAt}}").await;
    [one(services[0]).await, one(services[1]).await]
}

async fn resources(world: &World, name: &str) -> v1::ServiceResources {
    let request = v1::GetResourcesRequest { project_id: world.id() };
    let mut client = HealthServiceClient::new(world.running().channel("viewer"));
    let told = client.get_resources(request).await.expect("it is told").into_inner();
    told.services.into_iter().find(|it| it.name == name).expect("it is in the stack")
}

const BESIDE: [&str; 2] = ["dependent", "other"];

#[tokio::test(flavor = "multi_thread")]
async fn a_service_out_of_memory_is_named_and_given_up_after_three_tries() {
    let world = World::start().await;
    let hog = limited(world.service("hog", "memory rate=400"), 24);
    world.apply(beside(&world, hog).await).await.expect("a good spec");
    let seen = until(&world, "hog", |it| it.restarts >= 1 && it.exit_code.is_some()).await;
    let others = started(&world, BESIDE).await;
    assert_eq!((seen.exit_code, seen.reason.as_str()), (Some(137), "OUT_OF_MEMORY"));
    assert!(seen.message.contains("limit of 24 MiB"), "{seen:#?}");
    assert!(seen.hint.contains("from 24 MiB"), "{seen:#?}");
    let seen = until(&world, "hog", |it| it.status == "failed").await;
    assert_eq!((seen.reason.as_str(), seen.restarts), ("OUT_OF_MEMORY", 3), "{seen:#?}");
    let health = world.health().await;
    assert_eq!(health.status, "failed");
    assert!(health.reason.starts_with("hog: "), "{health:#?}");
    assert_eq!(started(&world, BESIDE).await, others, "nobody else is touched");
    let hog = resources(&world, "hog").await;
    assert!(hog.oom_kills >= 4 && hog.memory_limit_bytes == 24 << 20, "{hog:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_out_of_memory_is_counted_and_its_service_goes_on() {
    let world = World::start().await;
    let parent = limited(world.service("parent", "childmemory rate=400 + wait"), 24);
    world.up(beside(&world, parent).await).await;
    let before = world.inspect("parent", "{{.State.StartedAt}}").await;
    eventually(PATIENCE, || async {
        // The kernel may tell of one end twice.
        let seen = resources(&world, "parent").await;
        if seen.oom_kills > 0 { Ok(()) } else { Err(seen) }
    })
    .await;
    let seen = service(&world, "parent").await;
    assert_eq!((seen.status.as_str(), seen.restarts), ("ready", 0), "{seen:#?}");
    assert_eq!(world.inspect("parent", "{{.State.StartedAt}}").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_from_outside_is_not_taken_for_memory() {
    let world = World::start().await;
    world.up(beside(&world, limited(world.service("victim", "wait"), 24)).await).await;
    let others = started(&world, BESIDE).await;
    let id = world.ids("victim").await.remove(0);
    world.docker.run(&["kill", "--signal", "KILL", &id]).await;
    let seen = until(&world, "victim", |it| it.exit_code.is_some()).await;
    assert_eq!((seen.exit_code, seen.reason.as_str()), (Some(137), "KILLED"), "{seen:#?}");
    let seen = until(&world, "victim", |it| it.status == "ready").await;
    assert_eq!(seen.restarts, 1);
    assert_eq!(resources(&world, "victim").await.oom_kills, 0);
    assert_eq!(started(&world, BESIDE).await, others);
    assert_eq!(world.ids("victim").await, [id]);
}

/// The daemon's events of one service, as they come.
fn watch(world: &World, service: &str) -> Child {
    let (owner, service) =
        (format!("label={}", world.docker.label()), format!("label=cc.service={service}"));
    let filters = ["--filter", &owner, "--filter", &service, "--filter", "event=die"];
    Command::new("docker")
        .args(["--host", &world.docker.host, "events", "--format", "{{.TimeNano}}"])
        .args(filters)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("docker can be run")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_is_backed_off_by_1_2_4_and_8_seconds() {
    let mut world = World::without().await;
    let proxy = Proxy::start(&world.docker.host).await;
    world.config.docker_socket = proxy.socket();
    world.serve(Failpoint::default()).await;
    let mut events = watch(&world, "loop");
    let events = events.stdout.take().expect("it is piped");
    let mut deaths = BufReader::new(events).lines();
    let crashes = world.service("loop", "exit code=3");
    world.apply(beside(&world, crashes).await).await.expect("a good spec");
    let mut died = Vec::new();
    while died.len() < 5 {
        let line = timeout(PATIENCE, deaths.next_line()).await.expect("it dies again");
        let line = line.expect("docker goes on").expect("docker goes on");
        let nanos: u64 = line.parse().expect("a time");
        died.push(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos));
    }
    let id = world.ids("loop").await.remove(0);
    let asked = proxy.asked(&format!("POST /containers/{id}/start"));
    assert_eq!(asked.len(), 5, "a start for each death");
    let others = started(&world, BESIDE).await;
    for (number, (died, asked)) in died.iter().zip(&asked[1..]).enumerate() {
        let gap = asked.duration_since(*died).expect("the death comes first").as_secs_f64();
        let wanted = f64::from(1 << number);
        let most = wanted * 1.2 + OVERHEAD.as_secs_f64();
        assert!(gap >= wanted * 0.8 && gap <= most, "pause {number}: {gap} s, not {wanted} s");
        println!("pause {number}: {gap:.3} s of {wanted} s");
    }
    let last = |it: &v1::ServiceHealth| it.exit_code == Some(3) && it.restarts == 4;
    let seen = until(&world, "loop", last).await;
    assert_eq!(seen.reason, "EXITED", "{seen:#?}");
    assert_eq!(world.health().await.reason.split(':').next(), Some("loop"));
    assert_eq!(started(&world, BESIDE).await, others);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_ignores_sigterm_is_killed_after_its_grace_period() {
    let world = World::start().await;
    let mut stubborn = world.service("stubborn", "stubborn + wait");
    stubborn.stop = Some(v1::Stop { signal: "SIGTERM".to_owned(), grace: Some(seconds(3)) });
    world.up(beside(&world, stubborn).await).await;
    let others = started(&world, ["other", "other"]).await;
    let begin = Instant::now();
    let request =
        v1::RestartServiceRequest { project_id: world.id(), service: "stubborn".to_owned() };
    let answer = world.running().stacks("operator").restart_service(request).await;
    let ended = world.ended(&answer.expect("it may").into_inner().id).await;
    assert_eq!(ended.state, "succeeded", "{ended:#?}");
    assert!(begin.elapsed() >= Duration::from_secs(3), "{:?}", begin.elapsed());
    let seen = service(&world, "stubborn").await;
    assert_eq!((seen.status.as_str(), seen.reason.as_str()), ("ready", ""), "{seen:#?}");
    assert_eq!(started(&world, ["other", "other"]).await, others);

    let begin = Instant::now();
    let request = v1::StopStackRequest { project_id: world.id() };
    let answer = world.running().stacks("operator").stop_stack(request).await;
    assert_eq!(world.ended(&answer.expect("it may").into_inner().id).await.state, "succeeded");
    assert!(begin.elapsed() >= Duration::from_secs(3), "{:?}", begin.elapsed());
    let code = "{{.State.ExitCode}}";
    assert_eq!(world.inspect("stubborn", code).await, "137", "it was killed");
    assert_eq!(world.inspect("other", code).await, "0", "it obeyed");
    let health = world.becomes("stopped").await;
    assert!(health.services.iter().all(|it| it.status == "stopped"), "{health:#?}");
}

/// A backend with a probe, and a frontend that needs it.
async fn probed() -> World {
    let world = World::start().await;
    let mut backend = world.service("backend", "http");
    let probes = v1::Probes {
        readiness: Some(http("/", 0)),
        liveness: Some(http("/", 0)),
        ..v1::Probes::default()
    };
    backend.probes = Some(probes);
    let mut frontend = world.service("frontend", "wait");
    frontend.depends_on = vec![after("backend", "healthy")];
    world.up(stack([backend, frontend])).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_cut_off_from_its_network_is_connected_again_and_nobody_restarts() {
    let world = probed().await;
    let others = started(&world, ["backend", "frontend"]).await;
    let id = world.ids("backend").await.remove(0);
    let network = world.names("network").await.remove(0);
    let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let before = world.inspect("backend", address).await;
    world.docker.run(&["network", "disconnect", "--force", &network, &id]).await;
    let connected = eventually(Duration::from_secs(10), || async {
        let now = world.inspect("backend", address).await;
        if now.is_empty() { Err(now) } else { Ok(now) }
    });
    println!("{before}, then {}", connected.await);
    let names = "{{range .NetworkSettings.Networks}}{{.Aliases}}{{end}}";
    assert!(world.inspect("backend", names).await.contains("backend"), "others find it by name");
    let ready = |it: &v1::ServiceHealth| it.status == "ready";
    let seen = until(&world, "backend", ready).await;
    assert_eq!(seen.restarts, 0, "{seen:#?}");
    // Long enough for a liveness probe that asks the wrong address to give up.
    let probed_at = |it: &v1::ServiceHealth| {
        it.probes.iter().filter_map(|it| it.at).map(|it| it.seconds).max().unwrap_or(0)
    };
    let last = probed_at(&seen);
    let seen = until(&world, "backend", |it| probed_at(it) > last + 4).await;
    assert_eq!((seen.status.as_str(), seen.restarts), ("ready", 0), "{seen:#?}");
    assert_eq!(started(&world, ["backend", "frontend"]).await, others, "nobody was restarted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_service_is_unknown_and_left_alone() {
    let world = probed().await;
    let before = started(&world, ["backend", "frontend"]).await;
    let id = world.ids("backend").await.remove(0);
    world.docker.run(&["pause", &id]).await;
    let seen = until(&world, "backend", |it| it.status == "unknown").await;
    assert_eq!((seen.reason.as_str(), seen.restarts), ("PAUSED", 0), "{seen:#?}");
    let health = world.health().await;
    assert_eq!(health.status, "unknown");
    assert!(health.reason.starts_with("backend: "), "{health:#?}");
    assert_eq!(service(&world, "frontend").await.status, "ready");
    // Longer than its probes need to fail.
    let paused = Instant::now();
    eventually(PATIENCE, || async {
        assert_eq!(service(&world, "backend").await.status, "unknown");
        let long = paused.elapsed() > Duration::from_secs(6);
        if long { Ok(()) } else { Err(paused.elapsed()) }
    })
    .await;
    world.docker.run(&["unpause", &id]).await;
    let seen = until(&world, "backend", |it| it.status == "ready").await;
    assert_eq!(seen.restarts, 0, "{seen:#?}");
    assert_eq!(started(&world, ["backend", "frontend"]).await, before);
}
