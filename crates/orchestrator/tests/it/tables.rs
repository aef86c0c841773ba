//! What several of us do to the tables at once.

use std::time::Duration;

use futures::future::join_all;
use orchestrator::db;
use orchestrator::db::lease::Claim;
use orchestrator::operation::{Kind, New, StepState};
use uuid::Uuid;

use crate::world::World;

/// Longer than the test takes.
const TTL: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_end_together_are_all_noted() {
    const STEPS: usize = 40;
    let world = World::without().await;
    let mut conn = world.pool.acquire().await.expect("a connection");
    let new = New { kind: Kind::Apply, service: "", actor: "somebody" };
    let operation = db::operation::begin(&mut conn, world.project, 1, &new).await.expect("begun");
    drop(conn);
    let append = |number: usize| {
        let (pool, text) = (&world.pool, format!("step {number}"));
        async move { db::operation::append(pool, operation.id, "", &text, StepState::Done).await }
    };
    let noted = join_all((0..STEPS).map(append)).await;
    assert!(noted.iter().all(Result::is_ok), "{noted:?}");
    let steps = db::operation::steps(&world.pool, operation.id).await.expect("they are read");
    let mut texts: Vec<String> = steps.into_iter().map(|it| it.text).collect();
    texts.sort();
    let mut expected: Vec<String> = (0..STEPS).map(|it| format!("step {it}")).collect();
    expected.sort();
    assert_eq!(texts, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_new_stack_draws_a_number() {
    let world = World::without().await;
    let mut conn = world.pool.acquire().await.expect("a connection");
    let mut numbers = Vec::new();
    let other = proto::ProjectId::generate();
    for project in [world.project, world.project, world.project, other] {
        let row = db::stack::apply(&mut conn, project, b"spec", chrono::Utc::now()).await;
        let row = row.expect("it is applied");
        numbers.push((row.number, row.version));
    }
    assert_eq!(numbers, [(1, 1), (1, 2), (1, 3), (2, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stacks_of_a_database_are_kept_on_one_daemon() {
    let world = World::without().await;
    let (here, there) = (Uuid::now_v7(), Uuid::now_v7());
    let take = |daemon: &'static str, holder| db::lease::take(&world.pool, daemon, holder, TTL);
    let claims = [
        (take("a", here).await, Claim::Ours),
        (take("a", there).await, Claim::Another),
        (take("b", there).await, Claim::Elsewhere("a".to_owned())),
        // Its own daemon has another name since it was installed anew.
        (take("c", here).await, Claim::Ours),
    ];
    for (claim, expected) in claims {
        assert_eq!(claim.expect("it is answered"), expected);
    }
    db::lease::release(&world.pool, here).await.expect("it is given back");
    assert_eq!(take("b", there).await.expect("it is answered"), Claim::Ours);
}
