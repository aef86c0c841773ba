//! The loss of workers, of NATS and of Postgres, in the middle of work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use jobs::ledger::{Filter, State, counts};
use jobs::{Error, NewJob, Outcome, Run};
use sqlx::PgPool;
use testkit::{Postgres, eventually, eventually_eq};
use tokio::sync::Semaphore;

use crate::world::{Many, PATIENCE, Script, World, config};

/// Jobs that write one row each, in the transaction that completes them.
async fn effects(world: &World, pace: Duration) -> Script {
    sqlx::query("CREATE TABLE effect (job uuid)").execute(&world.pool).await.unwrap();
    let pool = world.pool.clone();
    Script::new(move |_, run| {
        let pool = pool.clone();
        async move {
            tokio::time::sleep(pace).await; // the work
            effect(&pool, &run).await
        }
    })
}

async fn effect(pool: &PgPool, run: &Run) -> Result<Outcome, Error> {
    let mut transaction = pool.begin().await?;
    sqlx::query("INSERT INTO effect VALUES ($1)").bind(run.id).execute(&mut *transaction).await?;
    run.complete(&mut transaction).await?;
    transaction.commit().await?;
    Ok(Outcome::Completed)
}

async fn enqueue(world: &World, n: usize) {
    let jobs: Vec<Many> = (0..n).map(|n| Many { name: n.to_string() }).collect();
    let mut transaction = world.pool.begin().await.unwrap();
    jobs::enqueue_many(&mut transaction, jobs.iter().map(|job| NewJob::new(job, "x")))
        .await
        .unwrap();
    transaction.commit().await.unwrap();
}

async fn done_at_least(world: &World, n: u64) {
    eventually(PATIENCE, || async {
        let counts = counts(&world.pool, &Filter::default()).await;
        match counts.as_ref().ok().and_then(|counts| counts.get(&State::Done)) {
            Some(&done) if done >= n => Ok(()),
            _ => Err(counts),
        }
    })
    .await;
}

/// Everything is done, and each effect happened once.
async fn all_done_once(world: &World, n: i64) {
    world.all_end(State::Done).await;
    assert_eq!(world.count("SELECT count(*) FROM effect").await, n);
    assert_eq!(world.count("SELECT count(DISTINCT job) FROM effect").await, n);
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_killed_in_the_middle_lose_nothing_and_double_nothing() {
    let world = World::new().await;
    let script = effects(&world, Duration::from_millis(20)).await;
    enqueue(&world, 150).await;
    let survivor = world.worker(&script).await;
    for round in 1..=3 {
        let victim = world.worker(&script).await;
        done_at_least(&world, round * 25).await;
        victim.kill().await;
    }
    all_done_once(&world, 150).await;
    survivor.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_worker_died_runs_alone_on_another() {
    let world = World::new().await;
    let hangs = Arc::new(AtomicBool::new(true));
    let running = Arc::new(AtomicU32::new(0));
    let company = Arc::new(AtomicU32::new(0));
    let (hang, now, met) = (hangs.clone(), running.clone(), company.clone());
    let script = Script::new(move |name, _| {
        let (hangs, now, met) = (hang.clone(), now.clone(), met.clone());
        async move {
            if hangs.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            let beside = now.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(30)).await; // the work
            let beside = beside.max(now.fetch_sub(1, Ordering::SeqCst) - 1);
            if name == "suspect" {
                met.fetch_max(beside, Ordering::SeqCst);
            }
            Ok(Outcome::Done)
        }
    });
    let victim = world.worker(&script).await;
    let suspect = world.many("suspect").await;
    world.ends(suspect, State::Running).await;
    victim.kill().await;
    hangs.store(false, Ordering::Relaxed);
    let other = world.worker(&script).await;
    // Company for the suspect, if it were to have any.
    eventually(PATIENCE, || async {
        enqueue(&world, 5).await;
        let record = world.record(suspect).await;
        if record.state == State::Done { Ok(()) } else { Err(record) }
    })
    .await;
    world.all_end(State::Done).await;
    assert_eq!(world.outcomes(suspect).await, ["crashed", "done"]);
    assert_eq!(company.load(Ordering::SeqCst), 0, "the suspect had company");
    let record = world.record(suspect).await;
    assert_eq!((record.attempt, record.crashes), (1, 0), "an orderly end clears the suspicion");
    other.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspect_that_waits_for_long_work_to_end_lets_others_go_on() {
    let world = World::new().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let script = Script::new(move |name, _| {
        let gate = held.clone();
        async move {
            if name == "long" {
                gate.acquire().await.unwrap().forget();
            }
            Ok(Outcome::Done)
        }
    });
    let worker = world.worker(&script).await;
    let long = world.many("long").await;
    world.ends(long, State::Running).await;
    let suspect = world.many("suspect").await;
    let suspicious = "UPDATE jobs.job SET state = 'queued', crashes = 1, lease_token = NULL
                      WHERE id = $1";
    sqlx::query(suspicious).bind(suspect).execute(&world.pool).await.unwrap();
    let waiting = std::time::Instant::now();
    while waiting.elapsed() < config_lease() {
        world.ends(world.many("other").await, State::Done).await;
    }
    assert_eq!(world.record(long).await.state, State::Running);
    gate.add_permits(1);
    world.all_end(State::Done).await;
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_crashes_alone_make_a_poison_and_neighbours_go_on() {
    let world = World::new().await;
    let script = Script::new(|name, _| async move {
        assert_ne!(name, "poison", "index out of range");
        Ok(Outcome::Done)
    });
    let worker = world.worker(&script).await;
    let poison = world.many("poison").await;
    let fine = world.many("fine").await;
    world.ends(fine, State::Done).await;
    let dead = world.ends(poison, State::Dead).await;
    assert_eq!(world.outcomes(poison).await, ["crashed"; 4]);
    assert!(dead.last_error.unwrap().contains("index out of range"));
    world.ends(world.many("after").await, State::Done).await;
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_killed_and_wiped_loses_no_work() {
    let mut world = World::new().await;
    let script = effects(&world, Duration::from_millis(10)).await;
    let workers = [world.worker(&script).await, world.worker(&script).await];
    enqueue(&world, 100).await;
    done_at_least(&world, 20).await;
    world.nats.kill().await;
    enqueue(&world, 50).await;
    done_at_least(&world, 120).await; // without any server
    world.nats.wipe_and_restart().await;
    enqueue(&world, 50).await;
    all_done_once(&world, 200).await;
    // The stream is there again, and tickets ring.
    eventually_eq(PATIENCE, true, || async { world.bus.is_connected() }).await;
    enqueue(&world, 20).await;
    all_done_once(&world, 220).await;
    for worker in workers {
        worker.drain().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_that_hangs_delays_work_but_does_not_stop_it() {
    let world = World::new().await;
    let script = effects(&world, Duration::ZERO).await;
    let worker = world.worker(&script).await;
    enqueue(&world, 5).await;
    done_at_least(&world, 5).await;
    world.nats.pause();
    enqueue(&world, 20).await;
    all_done_once(&world, 25).await;
    world.nats.resume();
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_killed_in_the_middle_charges_nobody() {
    let mut postgres = Postgres::dedicated().await;
    let world = World::on(&postgres).await;
    let script = effects(&world, Duration::from_millis(20)).await;
    let workers = [world.worker(&script).await, world.worker(&script).await];
    enqueue(&world, 150).await;
    done_at_least(&world, 20).await;
    postgres.kill().await;
    tokio::time::sleep(config_lease() * 2).await; // the outage
    postgres.restart().await;
    all_done_once(&world, 150).await;
    let charged = "SELECT count(*) FROM jobs.job WHERE attempt > 1";
    assert_eq!(world.count(charged).await, 0, "the outage was charged to a job");
    for worker in workers {
        worker.drain().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_stopped_for_longer_than_a_lease_makes_no_suspects() {
    let postgres = Postgres::dedicated().await;
    let world = World::on(&postgres).await;
    let script = effects(&world, Duration::from_millis(50)).await;
    let workers = [world.worker(&script).await, world.worker(&script).await];
    enqueue(&world, 100).await;
    done_at_least(&world, 10).await;
    postgres.pause();
    let outage = config_lease() * 3;
    let patience = Duration::from_millis(config().answer_timeout_ms);
    assert!(outage > patience * 2, "the worker takes the server for away");
    tokio::time::sleep(outage).await;
    postgres.resume();
    all_done_once(&world, 100).await;
    let crashed = "SELECT count(*) FROM jobs.attempt WHERE outcome = 'crashed'";
    assert_eq!(world.count(crashed).await, 0, "a living worker was taken for dead");
    assert_eq!(world.count("SELECT count(*) FROM jobs.job WHERE attempt > 1").await, 0);
    let open = "SELECT count(*) FROM jobs.attempt WHERE finished_at IS NULL";
    assert_eq!(world.count(open).await, 0, "a claim without an answer was given back");
    for worker in workers {
        worker.drain().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn work_that_hogs_the_processor_keeps_its_lease() {
    let world = World::new().await;
    let script = Script::new(|_, run| async move {
        #[expect(clippy::disallowed_methods, reason = "stands for work that never yields")]
        std::thread::sleep(config_lease() * 3);
        assert!(!run.is_cancelled());
        Ok(Outcome::Done)
    });
    let worker = world.worker(&script).await;
    let id = world.many("a").await;
    world.ends(id, State::Done).await;
    assert_eq!(world.outcomes(id).await, ["done"]);
    worker.drain().await;
}

fn config_lease() -> Duration {
    Duration::from_millis(config().lease_ms)
}
