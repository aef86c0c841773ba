//! Probes decide when dependents start, and when a service is restarted or given up.

use proto::orchestrator::v1;
use proto::orchestrator::v1::health_service_client::HealthServiceClient;
use testkit::eventually;

use crate::world::{PATIENCE, World, after, seconds, stack};

pub(crate) fn http(path: &str, deadline: i64) -> v1::Probe {
    let http = v1::HttpProbe { port: 8000, path: path.to_owned(), status: 0 };
    v1::Probe {
        kind: Some(v1::probe::Kind::Http(http)),
        period: Some(seconds(1)),
        timeout: Some(seconds(1)),
        failures: 2,
        successes: 1,
        deadline: (deadline > 0).then(|| seconds(deadline)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dependent_starts_when_the_probe_says_that_it_may() {
    let world = World::start().await;
    let mut backend = world.service("backend", "http after=2");
    let readiness = Some(http("/", 0));
    backend.probes = Some(v1::Probes { readiness, ..v1::Probes::default() });
    let mut frontend = world.service("frontend", "wait");
    frontend.depends_on = vec![after("backend", "healthy")];
    world.up(stack([backend, frontend])).await;
    let started = |service: &'static str| world.inspect(service, "{{.State.StartedAt}}");
    let time = |text: String| chrono::DateTime::parse_from_rfc3339(&text).expect("a time");
    let gap = time(started("frontend").await) - time(started("backend").await);
    assert!(gap.num_milliseconds() >= 2_000, "{gap}");
    let health = world.health().await;
    let backend = &health.services[0];
    assert_eq!((backend.status.as_str(), backend.probes[0].verdict.as_str()), ("ready", "success"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_never_gets_ready_fails_at_its_deadline() {
    let world = World::start().await;
    let mut backend = world.service("backend", "http status=500");
    let startup = Some(http("/", 2));
    backend.probes = Some(v1::Probes { startup, ..v1::Probes::default() });
    let operation = world.apply(stack([backend])).await.expect("a good spec");
    let ended = world.ended(&operation.id).await;
    assert_eq!((ended.state.as_str(), ended.reason.as_str()), ("failed", "START_TIMEOUT"));
    assert!(ended.message.contains("500"), "{}", ended.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_told_with_its_limits() {
    let world = World::start().await;
    world.up(stack([world.service("web", "memory mib=8 + wait")])).await;
    let request = || v1::GetResourcesRequest { project_id: world.id() };
    let client = HealthServiceClient::new(world.running().channel("viewer"));
    let web = eventually(PATIENCE, || async {
        let told = client.clone().get_resources(request()).await.expect("it is told").into_inner();
        let web = told.services.into_iter().next().expect("one service");
        if web.memory_bytes >= 8 << 20 { Ok(web) } else { Err(web) }
    })
    .await;
    assert!(web.memory_bytes <= web.memory_limit_bytes, "{web:?}");
    assert!(web.pids >= 1 && web.pids_limit >= web.pids && web.cpu_limit_millis > 0, "{web:?}");
}
