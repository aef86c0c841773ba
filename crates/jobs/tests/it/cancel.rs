//! What a person cancels, and what is asked for afterwards.

use std::sync::Arc;
use std::time::Duration;

use jobs::ledger::{self, State};
use jobs::{Error, NewJob, Outcome};
use proto::Reason;
use testkit::eventually_eq;
use tokio::sync::Semaphore;

use crate::world::{Many, PATIENCE, Script, World, unavailable};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_cancels_what_waits_and_what_runs() {
    let world = World::new().await;
    let script = Script::new(|_, run| async move {
        run.cancelled().await;
        Err(Error::LeaseLost)
    });
    let worker = world.worker(&script).await;
    let running = world.many("runs").await;
    world.ends(running, State::Running).await;
    ledger::cancel(&world.pool, running).await.unwrap();
    world.ends(running, State::Cancelled).await;

    let later = chrono::Utc::now() + chrono::TimeDelta::hours(1);
    let job = Many { name: "waits".into() };
    let waiting = world.enqueue(NewJob::new(&job, "waits").due(later)).await.id;
    let cancelled = ledger::cancel(&world.pool, waiting).await.unwrap();
    assert_eq!(cancelled.state, State::Cancelled);
    let again = ledger::cancel(&world.pool, waiting).await.unwrap_err();
    assert_eq!(again.reason, Reason::Conflict);
    assert!(again.message.contains("is cancelled"), "{}", again.message);
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_enqueued_after_a_cancel_is_run() {
    let world = World::new().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let script = Script::new(move |name, run| {
        let gate = held.clone();
        async move {
            if name == "old" {
                run.cancelled().await;
                gate.acquire().await.unwrap().forget();
                return Err(Error::LeaseLost);
            }
            // Longer than a heartbeat, which must not find the old wish to cancel.
            let heartbeat = Duration::from_millis(crate::world::config().heartbeat_ms);
            tokio::time::sleep(heartbeat * 3).await; // the work
            Ok(Outcome::Done)
        }
    });
    let worker = world.worker(&script).await;
    let enqueue = |name: &'static str| {
        let world = &world;
        async move {
            let job = Many { name: name.into() };
            world.enqueue(NewJob::new(&job, name).key("k")).await.id
        }
    };
    let id = enqueue("old").await;
    eventually_eq(PATIENCE, 1, || async { script.seen().len() }).await;
    enqueue("given up").await;
    ledger::cancel(&world.pool, id).await.unwrap();
    assert_eq!(enqueue("new").await, id);
    gate.add_permits(1);
    world.ends(id, State::Done).await;
    assert_eq!(script.names(), ["old", "new"]);
    assert_eq!(world.count("SELECT count(*) FROM jobs.job WHERE cancel_requested").await, 0);

    let id = enqueue("old").await;
    eventually_eq(PATIENCE, 3, || async { script.seen().len() }).await;
    enqueue("given up").await;
    ledger::cancel(&world.pool, id).await.unwrap();
    gate.add_permits(1);
    world.ends(id, State::Cancelled).await;
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_the_worker_missed_outlives_a_new_wish() {
    let world = World::new().await;
    let pool = world.pool.clone();
    let script = Script::new(move |name, run| {
        let pool = pool.clone();
        async move {
            if name == "new" {
                return Ok(Outcome::Done);
            }
            // A person cancels, which no notification tells, and then asks for the key once more.
            let mut transaction = pool.begin().await?;
            sqlx::query("UPDATE jobs.job SET cancel_requested = true WHERE id = $1")
                .bind(run.id)
                .execute(&mut *transaction)
                .await?;
            let new = Many { name: "new".into() };
            jobs::enqueue(&mut transaction, NewJob::new(&new, "new").key(&name)).await.unwrap();
            transaction.commit().await?;
            match name.as_str() {
                "fails" => Err(unavailable()),
                "panics" => panic!("at the worst moment"),
                _ => {
                    run.cancelled().await;
                    Err(Error::LeaseLost)
                }
            }
        }
    });
    let worker = world.worker(&script).await;
    // However the old run ends, and whether or not a heartbeat tells it in time.
    for name in ["fails", "panics", "waits"] {
        let job = Many { name: name.into() };
        let id = world.enqueue(NewJob::new(&job, name).key(name)).await.id;
        world.ends(id, State::Done).await;
        if name == "waits" {
            assert_eq!(world.outcomes(id).await, ["cancelled", "done"]);
        }
    }
    worker.drain().await;
}
