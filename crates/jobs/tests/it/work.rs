//! A job's life: enqueued, claimed, done; failed, retried, limited, drained.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jobs::ledger::{self, State};
use jobs::{Error, NewJob, Outcome};
use proto::{Failure, Reason};
use testkit::{eventually, eventually_eq};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::world::{Many, PATIENCE, Script, Single, World, unavailable};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_once_and_is_done() {
    let world = World::new().await;
    let script = Script::done();
    let worker = world.worker(&script).await;
    let id = world.many("a").await;
    let record = world.ends(id, State::Done).await;
    assert_eq!((record.attempt, record.crashes), (1, 0));
    assert!(record.finished_at.is_some());
    assert_eq!(world.outcomes(id).await, ["done"]);
    assert_eq!(script.seen(), [("a".to_owned(), 1)]);
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_enqueued_by_a_transaction_that_rolls_back() {
    let world = World::new().await;
    let mut transaction = world.pool.begin().await.unwrap();
    let job = Many { name: "a".into() };
    jobs::enqueue(&mut transaction, NewJob::new(&job, "a")).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(world.count("SELECT count(*) FROM jobs.job").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_free_worker_starts_within_moments() {
    let world = World::new().await;
    let worker = world.worker(&Script::done()).await;
    world.ends(world.many("warm").await, State::Done).await;
    let mut waits_ms = Vec::new();
    for _ in 0..20 {
        let id = world.many("a").await;
        let record = world.ends(id, State::Done).await;
        waits_ms.push((record.started_at.unwrap() - record.created_at).num_milliseconds());
    }
    waits_ms.sort_unstable();
    println!("enqueue to start: median {} ms, worst {} ms", waits_ms[10], waits_ms[19]);
    // Without the notification it would be half the polling interval of 100 ms.
    assert!(waits_ms[10] < 40, "{waits_ms:?}");
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_commits_with_its_job_or_not_at_all() {
    let world = World::new().await;
    sqlx::query("CREATE TABLE effect (name text)").execute(&world.pool).await.unwrap();
    let pool = world.pool.clone();
    let script = Script::new(move |name, run| {
        let pool = pool.clone();
        async move {
            if run.attempt == 1 && name == "stale" {
                // Another worker takes the job while this one is at work.
                sqlx::query("UPDATE jobs.job SET lease_token = gen_random_uuid() WHERE id = $1")
                    .bind(run.id)
                    .execute(&pool)
                    .await?;
            }
            let mut transaction = pool.begin().await?;
            sqlx::query("INSERT INTO effect VALUES ($1)")
                .bind(&name)
                .execute(&mut *transaction)
                .await?;
            run.complete(&mut transaction).await?;
            transaction.commit().await?;
            Ok(Outcome::Completed)
        }
    });
    let worker = world.worker(&script).await;
    let (fresh, stale) = (world.many("fresh").await, world.many("stale").await);
    world.ends(fresh, State::Done).await;
    eventually_eq(PATIENCE, 2, || async { script.seen().len() }).await;
    let effects = "SELECT count(*) FROM effect WHERE name = 'stale'";
    assert_eq!(world.count(effects).await, 0, "the stale run's effect is rolled back");
    assert_eq!(world.record(stale).await.state, State::Running, "the other worker has it");
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transient_error_is_retried_and_the_last_attempt_is_death() {
    let world = World::new().await;
    let script = Script::new(|name, run| async move {
        if name == "recovers" && run.attempt == 3 { Ok(Outcome::Done) } else { Err(unavailable()) }
    });
    let worker = world.worker(&script).await;
    let (recovers, dies) = (world.many("recovers").await, world.many("dies").await);
    assert_eq!(world.ends(recovers, State::Done).await.attempt, 3);
    let dead = world.ends(dies, State::Dead).await;
    assert_eq!(world.outcomes(dies).await, ["transient", "transient", "transient"]);
    assert!(dead.last_error.unwrap().starts_with("the site https://a.example is away"));
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permanent_error_is_death_at_once() {
    let world = World::new().await;
    let script =
        Script::new(|_, _| async { Err(Error::permanent(Reason::NotAFeed, "it is a page")) });
    let worker = world.worker(&script).await;
    let id = world.many("a").await;
    world.ends(id, State::Dead).await;
    assert_eq!(world.outcomes(id).await, ["permanent"]);
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_costs_no_attempt_and_is_kept() {
    const RETRY_AFTER: Duration = Duration::from_millis(400);
    let world = World::new().await;
    let calls = Arc::new(AtomicU32::new(0));
    let script = Script::new(move |_, _| {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        async move {
            // More often than the three attempts there are.
            if call < 5 {
                let failure = Failure::new(Reason::RateLimited, "429").retry_after(RETRY_AFTER);
                return Err(failure.into());
            }
            Ok(Outcome::Done)
        }
    });
    let worker = world.worker(&script).await;
    let id = world.many("a").await;
    let record = world.ends(id, State::Done).await;
    assert_eq!(record.attempt, 1);
    assert_eq!(world.outcomes(id).await[..5], ["rate_limited"; 5]);
    let took = (record.finished_at.unwrap() - record.created_at).to_std().unwrap();
    assert!(took >= RETRY_AFTER * 5, "{took:?}");
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_waits_is_replaced_and_one_that_runs_is_run_again() {
    let world = World::new().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let script = Script::new(move |_, _| {
        let gate = held.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            Ok(Outcome::Done)
        }
    });
    let enqueue = |name: &'static str| {
        let world = &world;
        async move {
            let job = Many { name: name.into() };
            world.enqueue(NewJob::new(&job, name).key("the one")).await
        }
    };
    let first = enqueue("old").await;
    let second = enqueue("new").await;
    assert_eq!((first.id, second.fresh), (second.id, false));

    let worker = world.worker(&script).await;
    eventually_eq(PATIENCE, 1, || async { script.seen().len() }).await;
    assert!(!enqueue("changed").await.fresh);
    assert!(!enqueue("changed again").await.fresh);
    gate.add_permits(2);
    world.ends(first.id, State::Done).await;
    assert_eq!(script.names(), ["new", "changed again"]);
    assert!(enqueue("later").await.fresh);
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_comes_while_its_key_dies_is_not_missed() {
    let world = World::new().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let script = Script::new(move |name, _| {
        let gate = held.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            if name == "broken" {
                return Err(Error::permanent(Reason::Unreadable, "broken"));
            }
            Ok(Outcome::Done)
        }
    });
    let worker = world.worker(&script).await;
    let broken = Many { name: "broken".into() };
    let id = world.enqueue(NewJob::new(&broken, "a").key("k")).await.id;
    eventually_eq(PATIENCE, 1, || async { script.seen().len() }).await;
    world.enqueue(NewJob::new(&Many { name: "mended".into() }, "a").key("k")).await;
    gate.add_permits(2);
    world.ends(id, State::Done).await;
    assert_eq!(script.names(), ["broken", "mended"]);
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_lets_work_finish_or_yield_and_hands_the_rest_back_uncharged() {
    let world = World::new().await;
    let script = Script::new(|name, run| async move {
        match name.as_str() {
            "stubborn" => std::future::pending().await,
            _ => {
                run.cancelled().await;
                Ok(Outcome::Done)
            }
        }
    });
    let worker = world.worker(&script).await;
    let stubborn = world.many("stubborn").await;
    let finishing = world.many("finishing").await;
    eventually_eq(PATIENCE, 2, || async { script.seen().len() }).await;
    worker.drain().await;
    let record = world.record(stubborn).await;
    assert_eq!((record.state, record.attempt, record.crashes), (State::Queued, 0, 0));
    assert_eq!(world.outcomes(stubborn).await, ["handed_back"]);
    assert_eq!(world.record(finishing).await.state, State::Done);
    assert_eq!(world.count("SELECT count(*) FROM jobs.job WHERE state = 'running'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_past_its_expiry_is_dead_and_says_why() {
    let world = World::new().await;
    let id = world.many("a").await;
    sqlx::query(
        "UPDATE jobs.job SET expires_at = now() - interval '1 s', last_error = '429',
         due_at = now() + interval '1 hour'",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let worker = world.worker(&Script::done()).await;
    let dead = world.ends(id, State::Dead).await;
    assert_eq!(dead.last_error.unwrap(), "expired before it could be done; before that: 429");
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_nobody_understands_is_dead_and_says_so() {
    let world = World::new().await;
    let id = world.many("a").await;
    sqlx::query("UPDATE jobs.job SET payload = '[1]'").execute(&world.pool).await.unwrap();
    let worker = world.worker(&Script::done()).await;
    let dead = world.ends(id, State::Dead).await;
    assert!(dead.last_error.unwrap().contains("the payload is none of test.many"));
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_with_a_nul_is_taken() {
    let world = World::new().await;
    let script = Script::new(|name, _| async move {
        assert_eq!(name, "nul \0 inside");
        Err(Error::permanent(Reason::Unreadable, "a \0 in the title"))
    });
    let worker = world.worker(&script).await;
    let job = Single { name: "nul \0 inside".into() };
    let id = world.enqueue(NewJob::new(&job, "subject \0")).await.id;
    let dead = world.ends(id, State::Dead).await;
    assert_eq!(dead.subject, "subject ");
    assert_eq!(dead.last_error.unwrap(), "a  in the title");
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_lost_its_lease_is_told_and_can_write_nothing() {
    let world = World::new().await;
    let pool = world.pool.clone();
    let script = Script::new(move |_, run| {
        let pool = pool.clone();
        async move {
            let mut connection = pool.acquire().await?;
            run.fence(&mut connection).await?;
            sqlx::query("UPDATE jobs.job SET lease_token = $2 WHERE id = $1")
                .bind(run.id)
                .bind(Uuid::new_v4())
                .execute(&mut *connection)
                .await?;
            assert!(matches!(run.fence(&mut connection).await, Err(Error::LeaseLost)));
            assert!(matches!(run.save_cursor(&1).await, Err(Error::LeaseLost)));
            run.cancelled().await; // the heartbeat notices
            Err(Error::LeaseLost)
        }
    });
    let worker = world.worker(&script).await;
    let id = world.many("a").await;
    eventually(PATIENCE, || async {
        let record = world.record(id).await;
        if script.seen().len() == 1 && record.state == State::Running {
            Ok(())
        } else {
            Err(record)
        }
    })
    .await;
    worker.drain().await;
    assert_eq!(world.record(id).await.state, State::Running, "nothing was written over it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_takes_too_long_is_charged_to_its_job() {
    let world = World::new().await;
    let pool = world.pool.clone();
    let script = Script::new(move |_, _| {
        let pool = pool.clone();
        async move {
            let mut transaction = pool.begin().await?;
            sqlx::query("SET LOCAL statement_timeout = '20ms'").execute(&mut *transaction).await?;
            sqlx::query("SELECT pg_sleep(10)").execute(&mut *transaction).await?;
            Ok(Outcome::Done)
        }
    });
    let worker = world.worker(&script).await;
    let id = world.many("slow").await;
    world.ends(id, State::Dead).await;
    assert_eq!(world.outcomes(id).await, ["transient"; 3]);
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_fifty_attempts_are_kept() {
    let world = World::new().await;
    let script = Script::new(|_, run| async move {
        let slice = run.cursor::<u32>().unwrap_or(0) + 1;
        run.save_cursor(&slice).await?;
        Ok(if slice < 60 { Outcome::Yield } else { Outcome::Done })
    });
    let worker = world.worker(&script).await;
    let id = world.many("a").await;
    world.ends(id, State::Done).await;
    let kept: (i64, i32, i32) =
        sqlx::query_as("SELECT count(*), min(number), max(number) FROM jobs.attempt")
            .fetch_one(&world.pool)
            .await
            .unwrap();
    assert_eq!(kept, (50, 11, 60));
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_view_hears_of_what_runs_changed_or_fell_due() {
    let world = World::new().await;
    let changes = async |since| {
        let changed = ledger::changes(&world.pool, None, since).await.unwrap();
        changed.into_iter().rev().map(|job| job.subject).collect::<Vec<_>>()
    };
    let now = async || -> chrono::DateTime<chrono::Utc> {
        sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&world.pool).await.unwrap()
    };
    let begin = now().await;
    let [running, ended, _] =
        [world.many("runs").await, world.many("ends").await, world.many("waits").await];
    let job = Many { name: "due".into() };
    let due = begin + chrono::TimeDelta::milliseconds(1_200);
    world.enqueue(NewJob::new(&job, "due").due(due)).await;
    assert_eq!(changes(begin).await, ["runs", "ends", "waits", "due"]);
    let run = "UPDATE jobs.job SET state = 'running', lease_token = gen_random_uuid()
               WHERE id = $1";
    sqlx::query(run).bind(running).execute(&world.pool).await.unwrap();
    let since = now().await;
    assert_eq!(changes(since).await, ["runs"]);
    ledger::cancel(&world.pool, ended).await.unwrap();
    assert_eq!(changes(since).await, ["runs", "ends"]);
    eventually_eq(PATIENCE, true, || async { changes(since).await.contains(&"due".into()) }).await;
}
