//! Facts commit with a row, reach every consumer, and survive the loss of the stream.

use std::collections::BTreeSet;

use bus::Events;
use bus::subject::JOB_DIED;
use jobs::ledger::State;
use jobs::{Error, outbox};
use proto::Reason;
use proto::events::v1::JobDied;

use testkit::eventually_eq;

use crate::world::{PATIENCE, Script, World};

async fn state_fact(world: &World, name: &str, commit: bool) {
    let died = JobDied { job_id: name.into(), kind: "test.many".into(), error: "x".into() };
    let mut transaction = world.pool.begin().await.unwrap();
    outbox::publish(&mut transaction, &JOB_DIED.envelope(None, 1, &died)).await.unwrap();
    if commit {
        transaction.commit().await.unwrap();
    } else {
        transaction.rollback().await.unwrap();
    }
}

async fn next(events: &mut Events) -> String {
    let received = tokio::time::timeout(PATIENCE, events.next()).await.expect("a fact arrives");
    let died = JOB_DIED.decode(&received.envelope).unwrap().expect("it is a death");
    received.ack().await;
    died.job_id
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_arrive_when_their_row_commits_and_again_when_the_stream_is_new() {
    let mut world = World::new().await;
    let worker = world.worker(&Script::done()).await;
    let mut events = world.bus.subscribe("test-facts", &[JOB_DIED.subject()]);
    state_fact(&world, "never", false).await;
    state_fact(&world, "a", true).await;
    state_fact(&world, "b", true).await;
    assert_eq!(BTreeSet::from([next(&mut events).await, next(&mut events).await]), two());

    world.nats.wipe_and_restart().await;
    assert_eq!(BTreeSet::from([next(&mut events).await, next(&mut events).await]), two());
    let left = "SELECT count(*) FROM jobs.outbox
                WHERE taken_until IS NOT NULL OR sent_to IS NULL";
    eventually_eq(PATIENCE, 0, || world.count(left)).await;
    assert_eq!(world.count("SELECT count(DISTINCT sent_to) FROM jobs.outbox").await, 1);
    worker.drain().await;
}

fn two() -> BTreeSet<String> {
    ["a", "b"].map(str::to_owned).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_that_was_stated_without_a_server_arrives_later() {
    let mut world = World::new().await;
    let worker = world.worker(&Script::done()).await;
    world.nats.kill().await;
    state_fact(&world, "a", true).await;
    world.nats.restart().await;
    let mut events = world.bus.subscribe("test-facts", &[JOB_DIED.subject()]);
    assert_eq!(next(&mut events).await, "a");
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_is_stated() {
    let world = World::new().await;
    let script = Script::new(|_, _| async { Err(Error::permanent(Reason::NotAFeed, "no feed")) });
    let worker = world.worker(&script).await;
    let mut events = world.bus.subscribe("test-facts", &[JOB_DIED.subject()]);
    let id = world.many("a").await;
    let mut last = 0;
    for _ in 0..2 {
        let received = tokio::time::timeout(PATIENCE, events.next()).await.expect("a fact arrives");
        let died = JOB_DIED.decode(&received.envelope).unwrap().expect("it is a death");
        assert_eq!(died.job_id, id.to_string());
        assert!(received.envelope.version > last, "a later death has the greater version");
        last = received.envelope.version;
        received.ack().await;
        world.ends(id, State::Dead).await;
        jobs::ledger::retry(&world.pool, id).await.unwrap();
    }
    world.ends(id, State::Dead).await;
    worker.drain().await;
}
