//! Long work: its progress, its slices, and its end when it makes none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jobs::ledger::State;
use jobs::{NewJob, Outcome, Run};
use proto::{Failure, Reason};

use crate::world::{Brief, Script, World};

#[tokio::test(flavor = "multi_thread")]
async fn long_work_yields_and_goes_on_from_its_cursor() {
    let world = World::new().await;
    let script = Script::new(|_, run| async move {
        let mut page = run.cursor::<u32>().unwrap_or(0);
        while page < 10 {
            page += 1;
            run.save_cursor(&page).await?;
            run.progress(page.into(), Some(10), "pages").await;
            if run.should_yield() || page.is_multiple_of(4) {
                return Ok(Outcome::Yield);
            }
        }
        Ok(Outcome::Done)
    });
    let worker = world.worker(&script).await;
    let id = world.many("crawl").await;
    let record = world.ends(id, State::Done).await;
    assert_eq!((record.attempt, record.progress_done), (1, Some(10)));
    let outcomes = world.outcomes(id).await;
    assert!(outcomes.len() >= 3, "{outcomes:?}");
    assert!(outcomes[..outcomes.len() - 1].iter().all(|outcome| outcome == "yielded"));
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slice_without_progress_is_an_error() {
    let world = World::new().await;
    let script = Script::new(|_, run| async move {
        run.save_cursor(&7).await?;
        Ok(Outcome::Yield)
    });
    let worker = world.worker(&script).await;
    let dead = world.ends(world.many("a").await, State::Dead).await;
    assert!(dead.last_error.unwrap().contains("without progress"));
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_makes_progress_may_take_longer_than_its_limit() {
    let world = World::new().await;
    let worker = world
        .worker(&Script::new(|_, run| async move {
            steps(&run, Duration::from_millis(1_000)).await;
            Ok(Outcome::Done)
        }))
        .await;
    let job = Brief { name: "steady".into() };
    let id = world.enqueue(NewJob::new(&job, "steady")).await.id;
    world.ends(id, State::Done).await;
    assert_eq!(world.outcomes(id).await, ["done"]);
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_begins_anew_makes_progress_from_nothing() {
    let world = World::new().await;
    let runs = Arc::new(AtomicU32::new(0));
    let script = Script::new(move |_, run| {
        let first = runs.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if first {
                run.progress(1_000_000, None, "steps").await;
                let limited = Failure::new(Reason::RateLimited, "429");
                return Err(limited.retry_after(Duration::from_millis(1)).into());
            }
            steps(&run, Duration::from_millis(1_000)).await;
            Ok(Outcome::Done)
        }
    });
    let worker = world.worker(&script).await;
    let id = world.enqueue(NewJob::new(&Brief { name: "again".into() }, "again")).await.id;
    world.ends(id, State::Done).await;
    assert_eq!(world.outcomes(id).await, ["rate_limited", "done"]);
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_takes_too_long_is_ended_and_charged() {
    let world = World::new().await;
    let worker = world.worker(&Script::new(|_, _| std::future::pending())).await;
    let job = Brief { name: "endless".into() };
    let id = world.enqueue(NewJob::new(&job, "endless")).await.id;
    let dead = world.ends(id, State::Dead).await;
    assert_eq!(world.outcomes(id).await, ["transient"; 3]);
    assert!(dead.last_error.unwrap().starts_with("made no progress for its limit of 0.4 s"));
    worker.drain().await;
}

/// Works for so long, and reports each step.
async fn steps(run: &Run, time: Duration) {
    let began = std::time::Instant::now();
    let mut done = 0;
    while began.elapsed() < time {
        done += 1;
        run.progress(done, None, "steps").await;
        tokio::time::sleep(Duration::from_millis(10)).await; // the work
    }
}
