//! Services that end by themselves, and a database that is away.

use testkit::{Postgres, eventually};

use crate::world::{PATIENCE, World, stack};

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_is_backed_off_and_told() {
    let world = World::start().await;
    let web = world.service("web", "exit code=3");
    world.apply(stack([web])).await.expect("a good spec");
    let waiting = eventually(PATIENCE, || async {
        let web = world.health().await.services.remove(0);
        if web.restarts >= 2 && web.next_restart_at.is_some() { Ok(web) } else { Err(web) }
    })
    .await;
    assert_ne!(waiting.status, "ready", "{waiting:#?}");
    assert_eq!((waiting.exit_code, waiting.reason.as_str()), (Some(3), "EXITED"));
    assert_eq!(world.ids("web").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_database_away_services_are_restarted_and_nothing_is_made() {
    let mut postgres = Postgres::dedicated().await;
    let database = postgres.database().await;
    let mut world = World::on(&database.url).await;
    world.serve(orchestrator::Failpoint::default()).await;
    let spec = stack([world.service("web", "wait"), world.service("gone", "wait")]);
    world.up(spec).await;
    postgres.kill().await;
    let (web, gone) = (world.ids("web").await.remove(0), world.ids("gone").await.remove(0));
    let before = world.inspect("web", "{{.State.StartedAt}}").await;
    world.docker.run(&["kill", &web]).await;
    world.docker.run(&["rm", "--force", &gone]).await;
    eventually(PATIENCE, || async {
        let started = world.inspect("web", "{{.State.StartedAt}}").await;
        let state = world.inspect("web", "{{.State.Status}}").await;
        if started > before && state == "running" { Ok(()) } else { Err((started, state)) }
    })
    .await;
    assert!(world.ids("gone").await.is_empty());
    postgres.restart().await;
    eventually(PATIENCE, || async {
        let ids = world.ids("gone").await;
        if ids.len() == 1 { Ok(()) } else { Err(ids) }
    })
    .await;
    assert_eq!(world.ids("web").await, [web]);
}
