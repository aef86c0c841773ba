//! Dead letters are rows: grouped by cause, counted, retried or discarded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jobs::ledger::{self, Filter, Page, State};
use jobs::{Error, NewJob, Outcome};
use proto::{ProjectId, Reason};
use testkit::eventually_eq;

use crate::world::{Many, PATIENCE, Script, World};

/// A site that is broken until it is mended.
fn site() -> (Arc<AtomicBool>, Script) {
    let mended = Arc::new(AtomicBool::new(false));
    let seen = mended.clone();
    let script = Script::new(move |name, _| {
        let mended = seen.load(Ordering::Relaxed);
        async move {
            if mended {
                return Ok(Outcome::Done);
            }
            let (reason, message) = if name.starts_with("page") {
                (Reason::FetchFailed, format!("GET https://a.example/{name} answered 404"))
            } else {
                (Reason::Unreadable, format!("the file {name:?} is no text"))
            };
            Err(Error::permanent(reason, message))
        }
    });
    (mended, script)
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_jobs_are_grouped_counted_and_retried_by_cause() {
    let world = World::new().await;
    let (mended, script) = site();
    let worker = world.worker(&script).await;
    for name in ["page 1", "page 2", "page 33", "file x"] {
        world.many(name).await;
    }
    world.all_end(State::Dead).await;

    let groups = ledger::dead_groups(&world.pool, None).await.unwrap();
    let seen: Vec<_> = groups.iter().map(|g| (g.signature.as_str(), g.count)).collect();
    assert_eq!(seen, [("GET <url> <n> answered <n>", 3), ("the file <text> is no text", 1)]);

    let filter = Filter { signature: Some(groups[0].signature.clone()), ..Filter::default() };
    assert_eq!(ledger::retry_dead(&world.pool, &filter, true).await.unwrap(), 3);
    assert_eq!(ledger::counts(&world.pool, &Filter::default()).await.unwrap()[&State::Dead], 4);
    mended.store(true, Ordering::Relaxed);
    assert_eq!(ledger::retry_dead(&world.pool, &filter, false).await.unwrap(), 3);
    let rest = Filter::default();
    assert_eq!(ledger::discard_dead(&world.pool, &rest, true).await.unwrap(), 1);
    assert_eq!(ledger::discard_dead(&world.pool, &rest, false).await.unwrap(), 1);

    let first = ledger::list(&world.pool, &Filter::default(), Page::default()).await.unwrap();
    let page = first.iter().find(|job| job.subject == "page 1").unwrap();
    world.ends(page.id, State::Done).await;
    assert_eq!(world.outcomes(page.id).await, ["permanent", "done"], "the history is kept");
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_retried_once_and_never_beside_itself() {
    let world = World::new().await;
    let (mended, script) = site();
    let worker = world.worker(&script).await;
    let enqueue = || async {
        let job = Many { name: "page".into() };
        world.enqueue(NewJob::new(&job, "page").key("k")).await.id
    };
    let first = enqueue().await;
    world.ends(first, State::Dead).await;
    let second = enqueue().await;
    world.ends(second, State::Dead).await;
    assert_eq!(ledger::retry_dead(&world.pool, &Filter::default(), true).await.unwrap(), 1);

    mended.store(true, Ordering::Relaxed);
    ledger::pause_kind(&world.pool, "test.many").await.unwrap();
    ledger::retry(&world.pool, second).await.unwrap();
    let refused = ledger::retry(&world.pool, first).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Conflict, "{}", refused.message);
    ledger::resume_kind(&world.pool, "test.many").await.unwrap();
    world.ends(second, State::Done).await;
    let refused = ledger::retry(&world.pool, second).await.unwrap_err();
    assert!(refused.message.contains("is done"), "{}", refused.message);
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_meets_a_newer_job_is_a_conflict() {
    let world = World::new().await;
    let job = Many { name: "page".into() };
    let dead = world.enqueue(NewJob::new(&job, "page").key("k")).await.id;
    sqlx::query("UPDATE jobs.job SET state = 'dead', finished_at = now()")
        .execute(&world.pool)
        .await
        .unwrap();
    let mut transaction = world.pool.begin().await.unwrap();
    jobs::enqueue(&mut transaction, NewJob::new(&job, "page").key("k")).await.unwrap();
    let all = Filter::default();
    let commit = async {
        eventually_eq(PATIENCE, 1, || {
            world.count(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                         AND datname = current_database()",
            )
        })
        .await;
        transaction.commit().await.unwrap();
    };
    let (retried, ()) = tokio::join!(ledger::retry_dead(&world.pool, &all, false), commit);
    assert_eq!(retried.unwrap_err().reason, Reason::Conflict);
    assert_eq!(world.record(dead).await.state, State::Dead);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_gives_a_job_the_time_it_had_and_no_more() {
    let world = World::new().await;
    let id = world.many("page").await;
    let old = "UPDATE jobs.job SET state = 'dead', created_at = now() - interval '30 days'";
    for _ in 0..2 {
        sqlx::query(old).execute(&world.pool).await.unwrap();
        ledger::retry_dead(&world.pool, &Filter::default(), false).await.unwrap();
        sqlx::query(old).execute(&world.pool).await.unwrap();
        ledger::retry(&world.pool, id).await.unwrap();
        let left = "SELECT extract(epoch FROM expires_at - now())::bigint FROM jobs.job";
        assert!(world.count(left).await <= 60);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sees_one_project_sees_only_its_jobs() {
    let world = World::new().await;
    let (_, script) = site();
    let worker = world.worker(&script).await;
    let (mine, others) = (ProjectId::generate(), ProjectId::generate());
    for project in [Some(mine), Some(others), None] {
        let job = Many { name: "page".into() };
        world.enqueue(NewJob::new(&job, "page").project(project)).await;
    }
    world.all_end(State::Dead).await;
    let filter = Filter { projects: Some(vec![mine]), ..Filter::default() };
    let jobs = ledger::list(&world.pool, &filter, Page::default()).await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.project).collect::<Vec<_>>(), [Some(mine)]);
    assert_eq!(ledger::retry_dead(&world.pool, &filter, true).await.unwrap(), 1);
    assert_eq!(ledger::dead_groups(&world.pool, Some(&[mine])).await.unwrap()[0].count, 1);
    let nobodys = Filter { projects: Some(vec![]), ..Filter::default() };
    assert!(ledger::counts(&world.pool, &nobodys).await.unwrap().is_empty());
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_list_do_not_overlap() {
    let world = World::new().await;
    for n in 0..5 {
        world.many(&format!("{n}")).await;
    }
    let mut subjects = Vec::new();
    let mut page = Page { before: None, size: 2 };
    loop {
        let jobs = ledger::list(&world.pool, &Filter::default(), page).await.unwrap();
        let Some(last) = jobs.last() else { break };
        page.before = Some(last.id);
        subjects.extend(jobs.into_iter().map(|job| job.subject));
    }
    assert_eq!(subjects, ["4", "3", "2", "1", "0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_past_its_retention_is_removed_and_nothing_else() {
    let world = World::new().await;
    let ids =
        [("old", "done", 4), ("new", "done", 2), ("old dead", "dead", 31), ("dead", "dead", 29)];
    for (name, state, days) in ids {
        let id = world.many(name).await;
        sqlx::query(
            "UPDATE jobs.job SET state = $2, finished_at = now() - $3 * interval '1 day'
             WHERE id = $1",
        )
        .bind(id)
        .bind(state)
        .bind(f64::from(days))
        .execute(&world.pool)
        .await
        .unwrap();
    }
    let kinds = ["test.many".to_owned()];
    assert_eq!(jobs::retention::sweep(&world.pool, &kinds).await.unwrap(), 2);
    let left = ledger::list(&world.pool, &Filter::default(), Page::default()).await.unwrap();
    assert_eq!(left.iter().map(|job| job.subject.as_str()).collect::<Vec<_>>(), ["dead", "new"]);
}
