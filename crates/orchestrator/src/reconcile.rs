//! Brings what is there to what is wished: look, plan, execute, and again.
//!
//! One actor for each project, woken by its owner, by Docker's events and by the clock. Of several
//! orchestrators on one daemon, one holds the lease and acts; the others look on.

mod actor;
mod desire;
mod events;
mod execute;
mod failpoint;
mod failures;
mod fill;
mod gate;
mod holder;
mod lease;
mod patience;
mod reaper;
mod refusal;
mod secrets;
mod stray;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chassis::{Shutdown, Tasks};
use proto::ProjectId;
use tokio::task::{Id, JoinSet};

use crate::app::App;
use crate::db;
use crate::isolation;

pub use failpoint::Failpoint;
pub use lease::Lease;

/// How often the table is looked at for stacks that another replica was told of.
const STACKS_INTERVAL: Duration = Duration::from_secs(1);

/// Reconciles until the end.
pub(crate) async fn run(app: Arc<App>, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut tasks = Tasks::new(&shutdown);
    tasks.spawn("lease", lease::run(app.clone(), tasks.shutdown()));
    tasks.spawn("events", events::run(app.clone(), tasks.shutdown()));
    tasks.spawn("reaper", reaper::run(app.clone(), tasks.shutdown()));
    tasks.spawn("stray", stray::run(app.clone(), tasks.shutdown()));
    tasks.spawn("isolation", isolation::run(app.clone(), tasks.shutdown()));
    tasks.spawn("stacks", stacks(app, tasks.shutdown()));
    tasks.join().await
}

/// Gives each stack an actor.
async fn stacks(app: Arc<App>, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut actors = JoinSet::new();
    let mut running: HashMap<ProjectId, (Id, i64)> = HashMap::new();
    while !shutdown.is_cancelled() {
        match db::within(db::stack::alive(&app.pool)).await {
            Ok(alive) => {
                for (project, version) in alive {
                    let known = running.get(&project).copied();
                    if known.is_some_and(|(_, known)| known != version) {
                        app.project(project).changed.notify_one();
                    }
                    let id = match known {
                        Some((id, _)) => id,
                        None => {
                            let actor = actor::Actor::new(app.clone(), project);
                            actors.spawn(actor.run(shutdown.clone())).id()
                        }
                    };
                    running.insert(project, (id, version));
                }
            }
            Err(error) => tracing::warn!(error = %error, "the stacks cannot be read now"),
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = app.stacks_changed.notified() => {}
            () = tokio::time::sleep(STACKS_INTERVAL) => {}
            Some(ended) = actors.join_next_with_id() => {
                let id = match ended {
                    Ok((id, ())) => id,
                    Err(error) => {
                        tracing::error!(error = %error, "a project's reconciler broke off");
                        error.id()
                    }
                };
                running.retain(|_, (it, _)| *it != id);
            }
        }
    }
    while actors.join_next().await.is_some() {}
    Ok(())
}
