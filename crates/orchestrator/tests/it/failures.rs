//! Every end that counts as a failure leaves a postmortem.

use proto::orchestrator::v1;
use proto::orchestrator::v1::health_service_client::HealthServiceClient;
use proto::{Failure, Reason};
use testkit::eventually;

use crate::world::{PATIENCE, World, refused, seconds, stack};

async fn page(
    world: &World,
    token: &str,
    service: &str,
    page_size: u32,
    page_token: &str,
) -> Result<v1::ListFailuresResponse, Failure> {
    let request = v1::ListFailuresRequest {
        project_id: world.id(),
        service: service.to_owned(),
        page_size,
        page_token: page_token.to_owned(),
    };
    let mut client = HealthServiceClient::new(world.running().channel(token));
    refused(client.list_failures(request).await)
}

pub(crate) async fn failures(world: &World) -> Vec<v1::Failure> {
    page(world, "viewer", "", 0, "").await.expect("they are told").failures
}

/// The oldest failure, once `is` says that it is complete.
async fn first(world: &World, is: impl Fn(&v1::Failure) -> bool) -> v1::Failure {
    eventually(PATIENCE, || async {
        let failure = failures(world).await.pop().ok_or_else(|| "none yet".to_owned())?;
        if is(&failure) { Ok(failure) } else { Err(format!("{failure:#?}")) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_kept_with_its_last_lines_attempt_and_operation() {
    let world = World::start().await;
    let mut web = world.service("web", "print text=goodbye + exit code=3 after=0.2");
    // Never ready, so that the operation goes on.
    let startup = Some(v1::Probe {
        kind: Some(v1::probe::Kind::Tcp(v1::TcpProbe { port: 9 })),
        ..v1::Probe::default()
    });
    web.probes = Some(v1::Probes { startup, ..v1::Probes::default() });
    let operation = world.apply(stack([web])).await.expect("a good spec");
    let first = first(&world, |it| !it.last_lines.is_empty()).await;
    assert_eq!((first.service.as_str(), first.reason.as_str()), ("web", "EXITED"), "{first:#?}");
    assert_eq!((first.exit_code, first.attempt, first.out_of_memory), (Some(3), 1, false));
    assert!(first.message.contains("code 3") && !first.hint.is_empty(), "{first:#?}");
    assert_eq!(first.last_lines, ["goodbye"]);
    assert_eq!(first.operation_id, operation.id);

    // Each end once, newest first, page by page; of one service when it is named.
    let all = eventually(PATIENCE, || async {
        let all = failures(&world).await;
        if all.len() >= 3 { Ok(all) } else { Err(all.len()) }
    })
    .await;
    let attempts: Vec<u32> = all.iter().rev().map(|it| it.attempt).collect();
    assert_eq!(attempts[..3], [1, 2, 3]);
    let newest = page(&world, "viewer", "web", 1, "").await.expect("a page");
    let next = page(&world, "viewer", "web", 1, &newest.next_page_token).await.expect("a page");
    assert!(newest.failures[0].id > next.failures[0].id && next.failures.len() == 1);
    let none = page(&world, "viewer", "other", 0, "").await.expect("a page");
    assert!(none.failures.is_empty() && none.next_page_token.is_empty());
    let bad = page(&world, "viewer", "", 0, "no token").await.expect_err("it is malformed");
    assert_eq!(bad.reason, Reason::InvalidInput);
    let foreign = page(&world, "stranger", "", 0, "").await.expect_err("not theirs");
    assert_eq!(foreign.reason, Reason::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_times_out_is_kept_with_what_the_probe_said() {
    let world = World::start().await;
    let mut backend = world.service("backend", "http status=500");
    let http = v1::HttpProbe { port: 8000, path: "/".to_owned(), status: 0 };
    let startup = Some(v1::Probe {
        kind: Some(v1::probe::Kind::Http(http)),
        period: Some(seconds(1)),
        timeout: Some(seconds(1)),
        deadline: Some(seconds(2)),
        ..v1::Probe::default()
    });
    backend.probes = Some(v1::Probes { startup, ..v1::Probes::default() });
    world.apply(stack([backend])).await.expect("a good spec");
    let kept = first(&world, |it| !it.last_lines.is_empty()).await;
    assert_eq!((kept.reason.as_str(), kept.exit_code), ("START_TIMEOUT", None), "{kept:#?}");
    let probe = kept.probes.first().expect("it was asked");
    assert_eq!((probe.probe.as_str(), probe.verdict.as_str()), ("startup", "failure"));
    assert!(probe.output.contains("500") && kept.message.contains("500"), "{kept:#?}");
    assert_eq!(kept.last_lines, ["listening on 8000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_memory_is_kept_with_the_peak_and_the_last_minute() {
    let world = World::start().await;
    let mut hog = world.service("hog", "memory rate=6");
    hog.resources = Some(v1::Resources { memory_bytes: 64 << 20, ..v1::Resources::default() });
    world.apply(stack([hog])).await.expect("a good spec");
    let kept = first(&world, |_| true).await;
    assert_eq!((kept.reason.as_str(), kept.out_of_memory), ("OUT_OF_MEMORY", true), "{kept:#?}");
    assert!(kept.memory_peak_bytes > 1 << 20 && kept.memory_peak_bytes <= 64 << 20, "{kept:#?}");
    let usage = kept.usage.last().expect("it was measured");
    assert_eq!(usage.memory_limit_bytes, 64 << 20);
    assert!(kept.hint.contains("from 64 MiB to 96 MiB"), "{}", kept.hint);
    let request = v1::GetResourcesRequest { project_id: world.id() };
    let mut client = HealthServiceClient::new(world.running().channel("viewer"));
    let told = client.get_resources(request).await.expect("it is told").into_inner();
    assert!(told.services[0].oom_kills >= 1, "{told:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_start_is_kept_once() {
    let world = World::start().await;
    let mut web = world.service("web", "");
    web.entrypoint = vec!["/nothere".to_owned()];
    let operation = world.apply(stack([web])).await.expect("a good spec");
    assert_eq!(world.ended(&operation.id).await.reason, "COMMAND_NOT_FOUND");
    let kept = first(&world, |_| true).await;
    assert_eq!((kept.reason.as_str(), kept.exit_code), ("COMMAND_NOT_FOUND", None), "{kept:#?}");
    assert_eq!((kept.operation_id, failures(&world).await.len()), (operation.id, 1));
}
