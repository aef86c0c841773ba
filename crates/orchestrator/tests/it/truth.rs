//! No status is better than what is known, and none is forgotten.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use orchestrator::Failpoint;
use proto::orchestrator::v1;
use proto::orchestrator::v1::health_service_client::HealthServiceClient;
use testkit::eventually;

use crate::failures::failures;
use crate::world::{PATIENCE, World, seconds, stack};

fn http(failures: u32) -> v1::Probe {
    let http = v1::HttpProbe { port: 8000, path: "/".to_owned(), status: 0 };
    v1::Probe {
        kind: Some(v1::probe::Kind::Http(http)),
        period: Some(prost_types::Duration { seconds: 0, nanos: 200_000_000 }),
        timeout: Some(seconds(1)),
        failures,
        ..v1::Probe::default()
    }
}

/// A service that is asked whether it is ready, and restarted when it does not answer.
fn probed(world: &World) -> v1::ServiceSpec {
    let mut web = world.service("web", "http");
    web.probes =
        Some(v1::Probes { readiness: Some(http(1)), liveness: Some(http(2)), startup: None });
    web
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_without_probes_is_never_ready_between_its_ends() {
    let world = World::start().await;
    world.apply(stack([world.service("web", "exit code=1 after=0.4")])).await.expect("a good spec");
    let request = v1::WatchHealthRequest { project_id: world.id() };
    let mut client = HealthServiceClient::new(world.running().channel("viewer"));
    let mut seen = client.watch_health(request).await.expect("it is told").into_inner();
    let watch = async {
        let mut statuses = Vec::new();
        while let Some(health) = seen.next().await {
            let health = health.expect("it goes on");
            let Some(web) = health.services.first() else { continue };
            statuses.push((web.restarts, web.status.clone()));
            if web.restarts >= 3 {
                break;
            }
        }
        statuses
    };
    let statuses = tokio::time::timeout(PATIENCE, watch).await.expect("it is restarted");
    let after: Vec<_> = statuses.iter().filter(|it| it.0 > 0).collect();
    assert!(after.iter().all(|it| it.1 != "ready"), "{statuses:?}");
    assert!(after.iter().any(|it| it.1 == "starting"), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_ours_forgives_no_crash_loop_and_counts_no_end_twice() {
    let mut world = World::start().await;
    world.apply(stack([world.service("web", "exit code=1")])).await.expect("a good spec");
    let attempts = async |world: &World, at_least: usize| {
        eventually(PATIENCE, || async {
            let attempts: Vec<u32> = failures(world).await.iter().map(|it| it.attempt).collect();
            if attempts.len() >= at_least { Ok(attempts) } else { Err(attempts) }
        })
        .await
    };
    attempts(&world, 3).await;
    world.kill().await;
    world.serve(Failpoint::default()).await;
    let mut all = attempts(&world, 5).await;
    all.reverse();
    assert_eq!(all[..5], [1, 2, 3, 4, 5]);
    let web = world.health().await.services.remove(0);
    assert!(web.restarts >= 4, "{web:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stands_by_asks_no_probes_and_does_not_guess() {
    let mut world = World::start().await;
    world.up(stack([probed(&world)])).await;
    let second = world.spawn(Failpoint::default()).await;
    let id = world.id();
    let request = || v1::GetHealthRequest { project_id: id.clone() };
    let client = HealthServiceClient::new(second.channel("viewer"));
    let told = eventually(PATIENCE, || async {
        let health = client.clone().get_health(request()).await.expect("it is told").into_inner();
        if health.services.is_empty() { Err(health) } else { Ok(health) }
    })
    .await;
    let web = &told.services[0];
    assert_eq!((web.status.as_str(), web.reason.as_str()), ("unknown", "PROBE_UNKNOWN"));
    assert!(web.probes.is_empty() && web.message.contains("another orchestrator"), "{web:#?}");
    world.becomes("ready").await;
    // It asks once it acts.
    world.kill().await;
    eventually(PATIENCE, || async {
        let health = client.clone().get_health(request()).await.expect("it is told").into_inner();
        if health.status == "ready" { Ok(()) } else { Err(health) }
    })
    .await;
    second.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_service_is_unknown_and_not_restarted() {
    let world = World::start().await;
    world.up(stack([probed(&world)])).await;
    let id = world.ids("web").await.remove(0);
    let started = world.inspect("web", "{{.State.StartedAt}}").await;
    world.docker.run(&["pause", &id]).await;
    let paused = world.becomes("unknown").await;
    assert_eq!(paused.services[0].reason, "PAUSED", "{paused:#?}");
    // Longer than its liveness probe would need to fail.
    let request = v1::WatchHealthRequest { project_id: world.id() };
    let mut client = HealthServiceClient::new(world.running().channel("viewer"));
    let mut seen = client.watch_health(request).await.expect("it is told").into_inner();
    let mut statuses = BTreeSet::new();
    let watch = async {
        while let Some(Ok(health)) = seen.next().await {
            statuses.insert(health.status);
        }
    };
    let patience = std::time::Duration::from_secs(5);
    tokio::time::timeout(patience, watch).await.expect_err("the stream goes on");
    assert_eq!(statuses, BTreeSet::from(["unknown".to_owned()]));
    world.docker.run(&["unpause", &id]).await;
    let ready = world.becomes("ready").await;
    assert_eq!(ready.services[0].restarts, 0, "{ready:#?}");
    assert_eq!(world.inspect("web", "{{.State.StartedAt}}").await, started);
    let kept = failures(&world).await;
    assert!(kept.is_empty(), "{kept:#?}");
}
