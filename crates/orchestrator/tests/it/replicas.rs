//! Several orchestrators on one daemon.

use orchestrator::Failpoint;
use testkit::eventually;

use crate::world::{PATIENCE, World, stack};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_orchestrator_stands_by_and_takes_over() {
    let mut world = World::start().await;
    let second = world.spawn(Failpoint::default()).await;
    let spec = stack([world.service("web", "wait")]);
    world.up(spec).await;
    assert_eq!(world.ids("web").await.len(), 1);
    world.kill().await;
    let id = world.ids("web").await.remove(0);
    world.docker.run(&["rm", "--force", &id]).await;
    eventually(PATIENCE, || async {
        let ids = world.ids("web").await;
        if ids.len() == 1 { Ok(()) } else { Err(ids) }
    })
    .await;
    second.drain().await;
    let held: i64 = sqlx::query_scalar("SELECT count(*) FROM orchestrator.lease")
        .fetch_one(&world.pool)
        .await
        .expect("it can be read");
    assert_eq!(held, 0, "a lease is given back at the end");
}
