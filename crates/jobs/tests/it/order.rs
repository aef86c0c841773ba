//! Which job is claimed next.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use jobs::ledger::{self, State};
use jobs::{NewJob, Outcome};
use testkit::eventually_eq;
use tokio::sync::Semaphore;

use crate::world::{Many, PATIENCE, Script, Single, World};

/// Enqueues jobs of one-at-a-time while the kind rests, so that all are there when it goes on.
async fn in_order(jobs: &[(&str, u8, i64)]) -> Vec<String> {
    let world = World::new().await;
    let script = Script::done();
    let worker = world.worker(&script).await;
    eventually_eq(PATIENCE, true, || async {
        ledger::pause_kind(&world.pool, "test.single").await.is_ok()
    })
    .await;
    for &(name, priority, minutes_waiting) in jobs {
        let due = Utc::now() - TimeDelta::minutes(minutes_waiting);
        let job = Single { name: name.into() };
        world.enqueue(NewJob::new(&job, name).priority(priority).due(due)).await;
    }
    ledger::resume_kind(&world.pool, "test.single").await.unwrap();
    world.all_end(State::Done).await;
    worker.drain().await;
    script.names()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_highest_score_goes_first() {
    let jobs = [
        ("low", 2, 0),
        ("high", 7, 0),
        ("ordinary", 5, 0),
        ("ordinary but old", 5, 25),
        ("low but very old", 2, 65),
    ];
    let expect = ["low but very old", "ordinary but old", "high", "ordinary", "low"];
    assert_eq!(in_order(&jobs).await, expect);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tenth_claim_goes_to_low_priorities() {
    let names: Vec<String> = (0..25).map(|n| format!("high {n:02}")).collect();
    let mut jobs: Vec<(&str, u8, i64)> = names.iter().map(|name| (name.as_str(), 9, 0)).collect();
    jobs.extend([("low a", 1, 1), ("low b", 1, 0)]);
    let order = in_order(&jobs).await;
    let place = |name| order.iter().position(|seen| seen == name).unwrap();
    assert_eq!((place("low a"), place("low b")), (9, 19), "{order:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_urgent_job_finds_a_free_slot_when_all_others_are_taken() {
    let world = World::new().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let script = Script::new(move |name, _| {
        let gate = held.clone();
        async move {
            if name != "urgent" {
                gate.acquire().await.unwrap().forget();
            }
            Ok(Outcome::Done)
        }
    });
    let worker = world.worker(&script).await;
    for n in 0..6 {
        world.many(&format!("slow {n}")).await;
    }
    // Four slots, one of them kept free.
    eventually_eq(PATIENCE, 3, || async { script.seen().len() }).await;
    let job = Many { name: "urgent".into() };
    let urgent = world.enqueue(NewJob::new(&job, "urgent").priority(8)).await.id;
    world.ends(urgent, State::Done).await;
    assert_eq!(script.seen().len(), 4);
    gate.add_permits(6);
    world.all_end(State::Done).await;
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_rests_is_not_claimed() {
    let world = World::new().await;
    let script = Script::done();
    let worker = world.worker(&script).await;
    world.ends(world.many("first").await, State::Done).await;
    ledger::pause_kind(&world.pool, "test.many").await.unwrap();
    let rests = world.many("rests").await;
    // Another kind goes on, so the worker has had its chance.
    let job = Single { name: "other".into() };
    world.ends(world.enqueue(NewJob::new(&job, "other")).await.id, State::Done).await;
    assert_eq!(world.record(rests).await.state, State::Queued);
    // Its time does not run out meanwhile; that of another kind does.
    let past = "UPDATE jobs.job SET expires_at = now() - interval '1 s' WHERE state = 'queued'";
    let later = chrono::Utc::now() + TimeDelta::hours(1);
    let late = world.enqueue(NewJob::new(&job, "late").due(later)).await.id;
    sqlx::query(past).execute(&world.pool).await.unwrap();
    world.ends(late, State::Dead).await;
    assert_eq!(world.record(rests).await.state, State::Queued);
    // Nor does it run out the moment that the rest ends.
    ledger::resume_kind(&world.pool, "test.many").await.unwrap();
    let late = "SELECT count(*) FROM jobs.job WHERE expires_at < now() AND kind = 'test.many'";
    assert_eq!(world.count(late).await, 0);
    world.ends(rests, State::Done).await;
    assert!(ledger::pause_kind(&world.pool, "no.such").await.is_err());
    worker.drain().await;
}
