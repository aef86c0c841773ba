//! What a project leaves behind, and what is left by crashes and by time.

use std::time::Duration;

use orchestrator::{Failpoint, retention};
use proto::orchestrator::v1;
use proto::{OperationId, ProjectId, Reason};
use testkit::{eventually, eventually_eq};

use crate::failures::failures;
use crate::world::{PATIENCE, World, refused, stack};

async fn rows(world: &World, table: &str) -> i64 {
    let query = format!("SELECT count(*) FROM orchestrator.{table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query))
        .fetch_one(&world.pool)
        .await
        .expect("it can be counted")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_project_leaves_nothing() {
    let world = World::start().await;
    let mut store = world.service("store", "print text=hello + exit code=1 after=0.2");
    store.mounts = vec![v1::Mount {
        kind: "volume".to_owned(),
        source: "data".to_owned(),
        target: "/data".to_owned(),
        ..v1::Mount::default()
    }];
    let volumes = vec![v1::VolumeSpec { name: "data".to_owned() }];
    world.apply(v1::StackSpec { volumes, ..stack([store]) }).await.expect("a good spec");
    eventually(PATIENCE, || async {
        if failures(&world).await.is_empty() { Err("no failure yet") } else { Ok(()) }
    })
    .await;
    let folder = world.config.logs.folder.join(world.id());
    assert!(folder.is_dir() && world.names("volume").await.len() == 1);

    let purge = async |token: &str| {
        let request = v1::PurgeProjectRequest { project_id: world.id() };
        refused(world.running().stacks(token).purge_project(request).await)
    };
    let refused = purge("operator").await.expect_err("only a service may");
    assert_eq!(refused.reason, Reason::Forbidden);
    eventually(PATIENCE, || async {
        let answer = purge("service").await.map_err(|it| it.to_string())?;
        if answer.done { Ok(()) } else { Err("not done yet".to_owned()) }
    })
    .await;
    assert!(world.containers("{{.ID}}").await.is_empty());
    assert!(world.names("network").await.is_empty() && world.names("volume").await.is_empty());
    for table in ["stack", "subnet", "operation", "operation_step", "failure"] {
        assert_eq!(rows(&world, table).await, 0, "{table}");
    }
    assert!(!folder.exists());
    // Asked again, as after an answer that was lost.
    assert!(purge("service").await.expect("it is idempotent").done);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_no_project_goes_after_its_grace_but_never_a_volume() {
    let mut world = World::without().await;
    world.config.dangling_grace_ms = 1_000;
    world.serve(Failpoint::default()).await;
    world.up(stack([world.service("web", "wait")])).await;
    let (kept, networks) = (world.ids("web").await, world.names("network").await);
    let project = format!("cc.project={}", ProjectId::generate());
    let owner = world.docker.label();
    let labels = ["--label", &owner, "--label", &project];
    world.docker.run(&[&["volume", "create"], &labels[..]].concat()).await;
    let name = format!("cc-test-{}", world.project.0.simple());
    world.docker.run(&[&["network", "create"], &labels[..], &[&name]].concat()).await;
    let flags = ["--label", &project, "--network", &name];
    world.docker.run_chaosd(&flags, &["wait"]).await;
    // Ours, and of no project at all: not made by the reconciler.
    let other = world.docker.run_chaosd(&["--network", "none"], &["wait"]).await;

    let mut left = [kept[0].clone(), other];
    left.sort();
    eventually_eq(PATIENCE, left.to_vec(), || world.containers("{{.ID}}")).await;
    eventually_eq(PATIENCE, networks, || world.names("network")).await;
    assert_eq!(world.names("volume").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_and_failures_go_after_ninety_days() {
    let world = World::without().await;
    for days in [89, 91] {
        sqlx::query(
            "INSERT INTO orchestrator.operation
                 (id, project_id, kind, state, version, actor, started_at, finished_at)
             VALUES ($1, $2, 'apply', 'succeeded', 1, 'test', now(),
                     now() - make_interval(days => $3))",
        )
        .bind(OperationId::generate())
        .bind(world.project)
        .bind(days)
        .execute(&world.pool)
        .await
        .expect("an operation");
        sqlx::query(
            "INSERT INTO orchestrator.failure (id, project_id, service, at, reason, failure)
             VALUES ($1, $2, 'web', now() - make_interval(days => $3), 'EXITED', '')",
        )
        .bind(OperationId::generate())
        .bind(world.project)
        .bind(days)
        .execute(&world.pool)
        .await
        .expect("a failure");
    }
    assert_eq!(retention::sweep(&world.pool).await.expect("it sweeps"), 2);
    assert_eq!((rows(&world, "operation").await, rows(&world, "failure").await), (1, 1));
    let grace = Duration::from_millis(world.config.dangling_grace_ms);
    assert_eq!(grace, Duration::from_secs(300), "the default");
}
