//! A stack from its first apply to its removal.

use futures::StreamExt as _;
use proto::Reason;
use proto::orchestrator::v1;
use proto::orchestrator::v1::health_service_client::HealthServiceClient;
use proto::orchestrator::v1::operation_service_client::OperationServiceClient;

use crate::world::{World, after, refused, stack};

/// A database with a volume, and a backend that needs it, in two networks.
fn two(world: &World) -> v1::StackSpec {
    let mut store = world.service("store", "write path=/data/file + wait");
    store.mounts = vec![v1::Mount {
        kind: "volume".to_owned(),
        source: "data".to_owned(),
        target: "/data".to_owned(),
        ..v1::Mount::default()
    }];
    let mut backend = world.service("backend", "http");
    backend.depends_on = vec![after("store", "started")];
    let network = |name: &str| v1::NetworkAttachment { name: name.to_owned(), aliases: vec![] };
    store.networks = vec![network("inner")];
    backend.networks = vec![network("inner"), network("edge")];
    v1::StackSpec {
        services: vec![backend, store],
        networks: vec![
            v1::NetworkSpec { name: "inner".to_owned(), internal: true },
            v1::NetworkSpec { name: "edge".to_owned(), internal: false },
        ],
        volumes: vec![v1::VolumeSpec { name: "data".to_owned() }],
        configs: vec![],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_lives_from_apply_to_removal() {
    let world = World::start().await;
    let operation = world.up(two(&world)).await;
    let texts: Vec<&str> = operation.steps.iter().map(|it| it.text.as_str()).collect();
    let place = |text: &str| texts.iter().position(|it| *it == text).expect(text);
    assert!(place("start store") < place("start backend"), "{texts:?}");
    let started = |service: &'static str| world.inspect(service, "{{.State.StartedAt}}");
    assert!(started("store").await < started("backend").await);

    let health = world.health().await;
    assert_eq!((health.status.as_str(), health.generation), ("ready", 1), "{health:#?}");

    // The same again changes nothing; stop keeps; start goes on; remove leaves the volume.
    let ids = world.containers("{{.ID}}").await;
    world.up(two(&world)).await;
    assert_eq!(world.containers("{{.ID}}").await, ids);
    assert_eq!(world.health().await.generation, 1);

    let request = v1::StopStackRequest { project_id: world.id() };
    let answer = refused(world.running().stacks("operator").stop_stack(request).await);
    world.ended(&answer.expect("it may").id).await;
    assert_eq!(world.containers("{{.State}}").await, ["exited", "exited"]);
    assert_eq!(world.becomes("stopped").await.reason, "");

    let request = v1::StartStackRequest { project_id: world.id() };
    let answer = refused(world.running().stacks("operator").start_stack(request).await);
    assert_eq!(world.ended(&answer.expect("it may").id).await.state, "succeeded");
    assert_eq!(world.containers("{{.ID}}").await, ids);

    assert_eq!(world.remove(false).await.state, "succeeded");
    assert!(world.containers("{{.ID}}").await.is_empty());
    assert!(world.names("network").await.is_empty());
    assert_eq!(world.names("volume").await.len(), 1);
    assert_eq!(world.remove(true).await.state, "succeeded");
    assert!(world.names("volume").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_hardened_and_may_write_to_its_volume() {
    let world = World::start().await;
    world.up(two(&world)).await;
    let host = "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} \
                {{.HostConfig.SecurityOpt}} {{.HostConfig.RestartPolicy.Name}} \
                {{.HostConfig.LogConfig.Config}} {{.HostConfig.Privileged}}";
    assert_eq!(
        world.inspect("store", host).await,
        "true [ALL] [no-new-privileges:true] no map[max-file:3 max-size:50m] false"
    );
    let memory = world.inspect("store", "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}").await;
    let (memory, swap) = memory.split_once(' ').expect("two numbers");
    assert!(memory == swap && memory != "0", "{memory} {swap}");
    let user = world.inspect("store", "{{.Config.User}}").await;
    let (uid, gid) = user.split_once(':').expect("two numbers");
    assert!(uid == gid && uid.parse::<u32>().expect("a number") >= 20_000, "{user}");
    let id = &world.ids("store").await[0];
    let said = world.docker.run(&["logs", id]).await;
    assert!(!said.contains("refused") && !said.contains("denied"), "{said}");
    let networks = world.inspect("backend", "{{len .NetworkSettings.Networks}}").await;
    assert_eq!(networks, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_spec_replaces_only_what_differs_and_limits_change_live() {
    let world = World::start().await;
    world.up(two(&world)).await;
    let (store, backend) = (world.ids("store").await, world.ids("backend").await);

    let mut spec = two(&world);
    let limits = v1::Resources { memory_bytes: 96 << 20, ..v1::Resources::default() };
    spec.services[1].resources = Some(limits);
    spec.services[0].environment.insert("COLOUR".to_owned(), "blue".to_owned());
    let request = v1::DiffStackRequest { project_id: world.id(), spec: Some(spec.clone()) };
    let diff = refused(world.running().stacks("viewer").diff_stack(request).await);
    let changes = diff.expect("it is told").changes;
    let told: Vec<_> = changes.iter().map(|it| (it.name.as_str(), it.action.as_str())).collect();
    assert_eq!(told, [("backend", "recreate"), ("store", "update")]);

    world.up(spec).await;
    assert_eq!(world.ids("store").await, store);
    assert_ne!(world.ids("backend").await, backend);
    assert_eq!(world.inspect("store", "{{.HostConfig.Memory}}").await, (96 << 20).to_string());
    assert_eq!(world.health().await.generation, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_makes_a_new_process_in_the_same_container() {
    let world = World::start().await;
    let mut spec = two(&world);
    spec.services[0].mounts = vec![v1::Mount {
        kind: "tmpfs".to_owned(),
        target: "/cache".to_owned(),
        ..v1::Mount::default()
    }];
    world.up(spec).await;
    let (id, before) =
        (world.ids("backend").await, world.inspect("backend", "{{.State.StartedAt}}").await);
    let store = world.inspect("store", "{{.State.StartedAt}}").await;
    let restart = |service: &str| v1::RestartServiceRequest {
        project_id: world.id(),
        service: service.to_owned(),
    };
    let mut stacks = world.running().stacks("operator");
    let answer = refused(stacks.restart_service(restart("backend")).await);
    assert_eq!(world.ended(&answer.expect("it may").id).await.state, "succeeded");
    assert_eq!(world.ids("backend").await, id);
    assert!(world.inspect("backend", "{{.State.StartedAt}}").await > before);
    assert_eq!(world.inspect("store", "{{.State.StartedAt}}").await, store);
    // What it could write on is still its own.
    world.docker.run(&["exec", &id[0], "/chaosd", "write", "path=/cache/x"]).await;

    let failure = refused(stacks.restart_service(restart("nosuch")).await).expect_err("none");
    assert_eq!(failure.reason, Reason::NotFound);
    assert!(failure.message.contains("backend, store"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_shot_runs_once_and_its_dependents_wait_for_it() {
    let world = World::start().await;
    let mut migrate = world.service("migrate", "exit code=0 after=0.5");
    migrate.one_shot = true;
    let mut web = world.service("web", "wait");
    web.depends_on = vec![after("migrate", "completed")];
    world.up(stack([migrate, web])).await;
    let ended = world.inspect("migrate", "{{.State.FinishedAt}}").await;
    assert!(ended < world.inspect("web", "{{.State.StartedAt}}").await);
    world.up(world.stored().await).await;
    assert_eq!(world.inspect("migrate", "{{.State.FinishedAt}}").await, ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_image_and_a_taken_port_fail_with_a_reason() {
    let world = World::start().await;
    let mut web = world.service("web", "wait");
    web.image = "commandcenter-test/nosuch:1".to_owned();
    let operation = world.apply(stack([web])).await.expect("a good spec");
    let ended = world.ended(&operation.id).await;
    assert_eq!((ended.state.as_str(), ended.reason.as_str()), ("failed", "IMAGE_NOT_FOUND"));
    assert!(ended.message.contains("commandcenter-test/nosuch:1"), "{ended:#?}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("it is bound").port();
    let mut web = world.service("web", "http");
    web.ports = vec![v1::Port { container: 8000, host: u32::from(port), ..v1::Port::default() }];
    let operation = world.apply(stack([web])).await.expect("a good spec");
    let health = testkit::eventually(crate::world::PATIENCE, || async {
        let health = world.health().await;
        let told = health.services.iter().any(|it| it.reason == "PORT_IN_USE");
        if told { Ok(health) } else { Err(health) }
    })
    .await;
    assert_ne!(health.status, "ready");
    drop(taken);
    assert_eq!(world.ended(&operation.id).await.state, "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_know_nothing_and_viewers_change_nothing() {
    let world = World::start().await;
    let request = || v1::ApplyStackRequest {
        project_id: world.id(),
        spec: Some(stack([world.service("web", "wait")])),
    };
    let running = world.running();
    let stranger = refused(running.stacks("stranger").apply_stack(request()).await);
    assert_eq!(stranger.expect_err("not theirs").reason, Reason::NotFound);
    let viewer = refused(running.stacks("viewer").apply_stack(request()).await);
    assert_eq!(viewer.expect_err("too low").reason, Reason::Forbidden);
    let get = v1::GetStackRequest { project_id: world.id() };
    let nothing = refused(running.stacks("viewer").get_stack(get).await);
    assert_eq!(nothing.expect_err("none yet").reason, Reason::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_and_health_are_watched_to_their_end() {
    let world = World::start().await;
    let operation = world.apply(stack([world.service("web", "wait")])).await.expect("good");
    let channel = world.running().channel("viewer");
    let request = v1::WatchOperationRequest { id: operation.id };
    let mut client = OperationServiceClient::new(channel.clone());
    let stream = client.watch_operation(request).await.expect("it is told").into_inner();
    let seen: Vec<_> = stream.map(|it| it.expect("it goes on").state).collect().await;
    assert_eq!(seen.last().map(String::as_str), Some("succeeded"));

    let request = v1::WatchHealthRequest { project_id: world.id() };
    let mut client = HealthServiceClient::new(channel);
    let mut stream = client.watch_health(request).await.expect("it is told").into_inner();
    let first = stream.next().await.expect("the state now").expect("it goes on");
    assert_eq!(first.status, "ready");
    let id = &world.ids("web").await[0];
    world.docker.run(&["kill", id]).await;
    let next = stream.next().await.expect("the change").expect("it goes on");
    assert_ne!(next.status, "ready", "{next:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_not_there_does_not_pass_for_the_one_that_runs() {
    let world = World::start().await;
    world.up(stack([world.service("web", "wait")])).await;
    let id = world.ids("web").await;
    let mut web = world.service("web", "wait");
    web.image = "commandcenter-test/nosuch:1".to_owned();
    let operation = world.apply(stack([web])).await.expect("a good spec");
    let ended = world.ended(&operation.id).await;
    assert_eq!((ended.state.as_str(), ended.reason.as_str()), ("failed", "IMAGE_NOT_FOUND"));
    // What runs is left alone until there is something to put in its place.
    assert_eq!(world.ids("web").await, id);
    assert_eq!(world.inspect("web", "{{.State.Status}}").await, "running");
    world.up(stack([world.service("web", "wait")])).await;
    assert_eq!(world.ids("web").await, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_shall_not_run_is_not_restarted() {
    let world = World::start().await;
    world.up(stack([world.service("web", "wait")])).await;
    let mut stacks = world.running().stacks("operator");
    let stop = v1::StopStackRequest { project_id: world.id() };
    let stopped = refused(stacks.stop_stack(stop).await).expect("it may");
    world.ended(&stopped.id).await;
    let restart = v1::RestartStackRequest { project_id: world.id() };
    let failure = refused(stacks.restart_stack(restart).await).expect_err("it is stopped");
    assert_eq!(failure.reason, Reason::Conflict);
    assert!(failure.message.contains("stack start"), "{failure}");
    world.remove(false).await;
    let service = v1::RestartServiceRequest { project_id: world.id(), service: "web".to_owned() };
    let failure = refused(stacks.restart_service(service).await).expect_err("it is removed");
    assert_eq!(failure.reason, Reason::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_health_sees_a_removal_and_the_stack_that_comes_after() {
    let world = World::start().await;
    let spec = stack([world.service("web", "wait")]);
    world.up(spec.clone()).await;
    let request = v1::WatchHealthRequest { project_id: world.id() };
    let mut client = HealthServiceClient::new(world.running().channel("viewer"));
    let stream = client.watch_health(request).await.expect("it is told").into_inner();
    let mut stream = Box::pin(stream.map(|it| it.expect("it goes on")));
    let mut until = async |status: &str| {
        while let Some(health) = stream.next().await {
            if health.status == status {
                return health.reason;
            }
        }
        panic!("the watch ended before the stack was {status}")
    };
    until("ready").await;
    world.remove(false).await;
    while until("stopped").await != "the stack was removed" {}
    world.up(spec).await;
    until("ready").await;
}
