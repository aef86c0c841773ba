//! Limits hold, and what is reported is what the kernel counts.

use std::time::Duration;

use proto::orchestrator::v1;
use proto::orchestrator::v1::health_service_client::HealthServiceClient;
use testkit::{eventually, eventually_eq};
use tokio::time::{Instant, sleep_until};

use crate::usage::{counter, working_set};
use crate::world::{PATIENCE, World, stack};

/// Over which CPU time is measured: the kernel gives it out ten times a second.
const WINDOW: Duration = Duration::from_secs(4);

fn limited(mut service: v1::ServiceSpec, cpu_millis: u32, mib: u64, pids: u32) -> v1::ServiceSpec {
    let memory_bytes = mib << 20;
    service.resources = Some(v1::Resources { cpu_millis, memory_bytes, pids, shm_bytes: 0 });
    service
}

/// Thousandths of a CPU over one window, by the kernel's own clock of the container.
async fn burnt(container: &str) -> Result<f64, String> {
    let (begin, before) = (Instant::now(), cpu_ns(container)?);
    sleep_until(begin + WINDOW).await;
    let used = cpu_ns(container)? - before;
    Ok(used / begin.elapsed().as_nanos() as f64 * 1_000.0)
}

fn cpu_ns(container: &str) -> Result<f64, String> {
    counter(container, "cpuacct", "cpuacct.usage")
        .or_else(|_| counter(container, "cpu", "cpu.stat").map(|micros| micros * 1_000.0))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burner_stays_within_five_percent_of_its_limit_and_that_is_reported() {
    let world = World::start().await;
    let burner = limited(world.service("burner", "burn threads=2 + memory mib=20"), 200, 64, 32);
    world.up(stack([burner])).await;
    let id = world.ids("burner").await.remove(0);
    // A machine that does other work may give it less in one window, never more.
    let kernel = eventually(PATIENCE, || async {
        let burnt = burnt(&id).await?;
        assert!(burnt <= 210.0, "{burnt} thousandths of a CPU");
        if burnt >= 190.0 { Ok(burnt) } else { Err(format!("{burnt}")) }
    })
    .await;
    let near = |a: f64, b: f64| (a / b - 1.0).abs() <= 0.05;
    let client = HealthServiceClient::new(world.running().channel("viewer"));
    eventually(PATIENCE, || async {
        let request = v1::GetResourcesRequest { project_id: world.id() };
        let told = client.clone().get_resources(request).await.expect("it is told").into_inner();
        let it = told.services.into_iter().next().expect("one service");
        let pids = counter(&id, "pids", "pids.current")?;
        let same = near(it.cpu_millis, kernel)
            && near(it.memory_bytes as f64, working_set(&id)? as f64)
            && near(it.pids as f64, pids);
        if same { Ok(()) } else { Err(format!("{it:?}, kernel {kernel}, {pids}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hog_dies_at_its_limit_and_a_fork_bomb_stops_at_its_own() {
    let world = World::start().await;
    let hog = limited(world.service("hog", "memory"), 1_000, 24, 32);
    let bomb = limited(world.service("bomb", "fork + wait"), 1_000, 64, 24);
    let bystander = world.service("bystander", "wait");
    world.apply(stack([hog, bomb, bystander])).await.expect("a good spec");
    let bomb = eventually(PATIENCE, || async {
        let id = world.ids("bomb").await.pop().ok_or("it is not there yet")?;
        let pids = counter(&id, "pids", "pids.current").map_err(|_| "it does not run yet")?;
        if pids >= 23.0 { Ok(id) } else { Err("it has not forked enough") }
    })
    .await;
    eventually(PATIENCE, || async {
        let said = world.docker.run(&["logs", &bomb]).await;
        if said.contains("Resource temporarily unavailable") { Ok(()) } else { Err(said) }
    })
    .await;
    let most = counter(&bomb, "pids", "pids.current").expect("it runs");
    assert!(most <= 24.0, "{most} processes and threads");
    eventually(PATIENCE, || async {
        let health = world.health().await;
        let hog = health.services.iter().find(|it| it.name == "hog").expect("it is there");
        if hog.reason == "OUT_OF_MEMORY" { Ok(()) } else { Err(health) }
    })
    .await;
    let state = "{{.State.OOMKilled}} {{.State.ExitCode}}";
    eventually_eq(PATIENCE, "true 137".to_owned(), || world.inspect("hog", state)).await;
    let health = world.health().await;
    for well in ["bomb", "bystander"] {
        let it = health.services.iter().find(|it| it.name == well).expect("it is there");
        assert_eq!((it.status.as_str(), it.restarts), ("ready", 0), "{health:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_limits_hold_in_the_kernel_for_the_process_that_runs() {
    let world = World::start().await;
    world.up(stack([limited(world.service("web", "burn"), 100, 64, 32)])).await;
    let (id, started) =
        (world.ids("web").await.remove(0), world.inspect("web", "{{.State.StartedAt}}").await);
    world.up(stack([limited(world.service("web", "burn"), 200, 96, 48)])).await;
    assert_eq!(world.ids("web").await, std::slice::from_ref(&id));
    assert_eq!(world.inspect("web", "{{.State.StartedAt}}").await, started);
    let pids = counter(&id, "pids", "pids.max").expect("it runs");
    let memory = counter(&id, "memory", "memory.limit_in_bytes");
    let memory = memory.or_else(|_| counter(&id, "memory", "memory.max")).expect("it runs");
    assert_eq!((pids, memory), (48.0, f64::from(96 << 20)));
    eventually(PATIENCE, || async {
        let burnt = burnt(&id).await?;
        assert!(burnt <= 210.0, "{burnt} thousandths of a CPU");
        // More than it might have before.
        if burnt > 105.0 { Ok(()) } else { Err(format!("{burnt}")) }
    })
    .await;
}
