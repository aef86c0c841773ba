//! What is promised of every container, seen from inside and from outside.

use proto::orchestrator::v1;
use proto::orchestrator::v1::health_service_client::HealthServiceClient;
use testkit::eventually;

use crate::world::{PATIENCE, World, after, refused, stack};

/// The services of the template, each telling what it is and whether it may write.
fn template(world: &World) -> v1::StackSpec {
    let service = |name: &str, needs: &[&str]| {
        let mut it = world.service(name, "status + write path=/file + write path=/tmp/file + http");
        it.depends_on = needs.iter().map(|it| after(it, "started")).collect();
        it
    };
    let networks = |names: &[&str]| {
        let network = |name: &&str| v1::NetworkAttachment {
            name: (*name).to_owned(),
            ..v1::NetworkAttachment::default()
        };
        names.iter().map(network).collect()
    };
    let mut services = [
        service("postgres", &[]),
        service("redis", &["postgres"]),
        service("backend", &["postgres", "redis"]),
        service("frontend", &["backend"]),
    ];
    let places: [&[&str]; 4] = [&["data"], &["data"], &["data", "edge"], &["edge"]];
    for (service, place) in services.iter_mut().zip(places) {
        service.networks = networks(place);
    }
    services[3].ports = vec![v1::Port { container: 8000, ..v1::Port::default() }];
    let network = |name: &str, internal| v1::NetworkSpec { name: name.to_owned(), internal };
    v1::StackSpec {
        networks: vec![network("data", true), network("edge", false)],
        ..stack(services)
    }
}

pub(crate) async fn report(world: &World) -> Vec<v1::HardeningReport> {
    let request = v1::GetHardeningRequest { project_id: world.id() };
    let mut client = HealthServiceClient::new(world.running().channel("viewer"));
    refused(client.get_hardening(request).await).expect("it is told").services
}

/// The checks of a report that are not kept.
fn odd(report: &v1::HardeningReport) -> Vec<String> {
    let odd = report.checks.iter().filter(|it| it.verdict != "kept");
    odd.map(|it| format!("{} {}", it.name, it.verdict)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_of_the_template_is_hardened_inside_and_out() {
    let world = World::start().await;
    world.up(template(&world)).await;
    for service in ["postgres", "redis", "backend", "frontend"] {
        let id = world.ids(service).await.remove(0);
        let said = eventually(PATIENCE, || async {
            let said = world.docker.run(&["logs", &id]).await;
            let done = said.contains("write /file") && said.contains("write /tmp/file");
            if done && said.contains("Seccomp:") { Ok(said) } else { Err(said) }
        })
        .await;
        let field = |key: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            line.unwrap_or_else(|| panic!("{service} has no {key}: {said}")).trim().to_owned()
        };
        let uids: Vec<u32> = field("Uid").split('\t').filter_map(|it| it.parse().ok()).collect();
        assert!(uids.len() == 4 && uids.iter().all(|it| *it >= 20_000), "{service}: {uids:?}");
        let gids = field("Gid");
        assert!(gids.split('\t').all(|it| it == uids[0].to_string()), "{service}: {gids}");
        for capabilities in ["CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"] {
            assert_eq!(field(capabilities), "0000000000000000", "{service}: {capabilities}");
        }
        assert_eq!((&*field("NoNewPrivs"), &*field("Seccomp")), ("1", "2"), "{service}");
        assert!(said.contains("write /file: Read-only file system"), "{service}: {said}");
        assert!(said.contains("write /tmp/file: done"), "{service}: {said}");
    }
    let reports = report(&world).await;
    assert_eq!(reports.len(), 4);
    for report in &reports {
        assert_eq!(odd(report), ["isolation excepted"], "{report:#?}");
        assert!(report.hardened, "{report:#?}");
    }
    // The helper that looked is gone.
    assert_eq!(world.containers("{{.ID}}").await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn exceptions_are_shown_and_what_does_not_run_is_unknown() {
    let mut world = World::without().await;
    world.config.root_user = true;
    world.serve(orchestrator::Failpoint::default()).await;
    let mut weak = world.service("weak", "http");
    weak.hardening = Some(v1::Hardening {
        user: "0:0".to_owned(),
        read_only: Some(false),
        cap_add: vec!["NET_BIND_SERVICE".to_owned()],
    });
    weak.ports =
        vec![v1::Port { container: 8000, host_ip: "0.0.0.0".to_owned(), ..v1::Port::default() }];
    world.up(stack([weak])).await;
    let reports = report(&world).await;
    let excepted = [
        "uid excepted",
        "effective_capabilities excepted",
        "possible_capabilities excepted",
        "read_only_root excepted",
        "published excepted",
        "isolation excepted",
    ];
    assert_eq!(odd(&reports[0]), excepted, "{reports:#?}");

    // What somebody else made of it is not what was declared.
    let (id, network) = (world.ids("weak").await.remove(0), "bridge");
    let request = v1::StopStackRequest { project_id: world.id() };
    let answer = refused(world.running().stacks("operator").stop_stack(request).await);
    world.ended(&answer.expect("it may").id).await;
    world.docker.run(&["network", "connect", network, &id]).await;
    let reports = report(&world).await;
    let told = odd(&reports[0]);
    assert!(told.contains(&"networks broken".to_owned()), "{told:?}");
    assert!(told.contains(&"uid unknown".to_owned()) && !reports[0].hardened, "{told:?}");
}
