//! Schedules fire once each, over any number of replicas.

use std::time::Duration;

use jobs::schedule::{self, Schedule, Spec};
use jobs::{Job as _, NewJob};

use crate::world::{Many, World};

const KEY: &str = "source:1";

fn kinds() -> Vec<String> {
    vec![Many::KIND.to_owned()]
}

async fn plan(world: &World, expression: &str) {
    let job = Many { name: "tick".into() };
    let spec = Spec {
        key: KEY.to_owned(),
        schedule: Schedule::parse(expression, "UTC", KEY).unwrap(),
        jitter: Duration::ZERO,
        job: NewJob::new(&job, "tick").key(KEY).priority(7).template().unwrap(),
    };
    let mut connection = world.pool.acquire().await.unwrap();
    schedule::upsert(&mut connection, &spec).await.unwrap();
}

/// Turns the schedule back, as if its next time were this long ago.
async fn turn_back(world: &World, minutes: i32) {
    sqlx::query(
        "UPDATE jobs.schedule
         SET next_at = date_trunc('minute', now()) - make_interval(mins => $1)",
    )
    .bind(minutes)
    .execute(&world.pool)
    .await
    .unwrap();
}

/// Ends the job of the last tick, so that the next one needs a job of its own.
async fn finish(world: &World) {
    sqlx::query("UPDATE jobs.job SET state = 'done', finished_at = now() WHERE state = 'queued'")
        .execute(&world.pool)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn five_replicas_fire_each_tick_once() {
    const TICKS: i64 = 20;
    let world = World::new().await;
    for minute in 0..TICKS {
        // Once a year, so that no tick but this one can come due while the test looks.
        plan(&world, &format!("{minute} 0 1 1 *")).await;
        turn_back(&world, i32::try_from(minute).unwrap()).await;
        let kinds = kinds();
        let replicas = (0..5).map(|_| schedule::fire_due(&world.pool, &kinds));
        let fired: Vec<usize> =
            futures::future::join_all(replicas).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(fired.iter().sum::<usize>(), 1, "{fired:?}");
        finish(&world).await;
    }
    assert_eq!(world.count("SELECT count(*) FROM jobs.schedule_tick").await, TICKS);
    assert_eq!(world.count("SELECT count(*) FROM jobs.job").await, TICKS);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_is_caught_up_on_once() {
    let world = World::new().await;
    plan(&world, "0 * * * *").await;
    turn_back(&world, 3 * 24 * 60).await;
    assert_eq!(schedule::fire_due(&world.pool, &kinds()).await.unwrap(), 1);
    assert_eq!(schedule::fire_due(&world.pool, &kinds()).await.unwrap(), 0);
    assert_eq!(world.count("SELECT count(*) FROM jobs.job WHERE priority = 7").await, 1);
    let row = schedule::get(&world.pool, KEY).await.unwrap().unwrap();
    let now = chrono::Utc::now();
    assert!(row.next_at > now && row.next_at - now <= chrono::TimeDelta::hours(1));
    assert!(now - row.last_at.unwrap() <= chrono::TimeDelta::hours(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_that_fired_does_not_fire_again() {
    let world = World::new().await;
    plan(&world, "0 0 1 1 *").await;
    turn_back(&world, 0).await;
    schedule::fire_due(&world.pool, &kinds()).await.unwrap();
    finish(&world).await;
    let last = schedule::get(&world.pool, KEY).await.unwrap().unwrap().last_at;
    // A replica with an old backup of the row.
    sqlx::query("UPDATE jobs.schedule SET next_at = $1")
        .bind(last)
        .execute(&world.pool)
        .await
        .unwrap();
    schedule::fire_due(&world.pool, &kinds()).await.unwrap();
    assert_eq!(world.count("SELECT count(*) FROM jobs.job").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_joins_the_job_that_is_still_at_work() {
    let world = World::new().await;
    plan(&world, "* * * * *").await;
    for minutes in [2, 1] {
        turn_back(&world, minutes).await;
        schedule::fire_due(&world.pool, &kinds()).await.unwrap();
    }
    assert_eq!(world.count("SELECT count(*) FROM jobs.job").await, 1);
    assert_eq!(world.count("SELECT count(*) FROM jobs.job WHERE rerun").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_rests_an_edit_keeps_it_and_a_removal_ends_it() {
    let world = World::new().await;
    plan(&world, "* * * * *").await;
    assert!(schedule::pause(&world.pool, KEY).await.unwrap());
    turn_back(&world, 1).await;
    assert_eq!(schedule::fire_due(&world.pool, &kinds()).await.unwrap(), 0);
    plan(&world, "*/5 * * * *").await;
    let row = schedule::get(&world.pool, KEY).await.unwrap().unwrap();
    assert!(row.paused && row.next_at > chrono::Utc::now());
    assert!(schedule::resume(&world.pool, KEY).await.unwrap());
    assert!(schedule::remove(&world.pool, KEY).await.unwrap());
    assert!(!schedule::remove(&world.pool, KEY).await.unwrap());
    assert_eq!(schedule::get(&world.pool, KEY).await.unwrap(), None);
}
