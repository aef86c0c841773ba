//! Publishes tickets for rows that are queued, due, not paused, and without a recent ticket. First
//! publish, retry, delay, resume and the repair of a lost message are all this one loop.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bus::stream::TICKETS_PER_KIND_MAX;
use chassis::Shutdown;
use tokio::time::{Instant, sleep};

use super::{Core, Kind};
use crate::db;

pub(super) async fn run(core: Arc<Core>, stop: Shutdown) -> anyhow::Result<()> {
    let mut connections = core.bus.connections();
    let mut polled: Option<Instant> = None;
    while !stop.is_cancelled() {
        let everything = polled.is_none_or(|at| at.elapsed() >= core.config.poll());
        if everything {
            polled = Some(Instant::now());
        }
        let now = core.bus.connections();
        if now != connections && forget_tickets(&core).await {
            connections = now;
        }
        for kind in core.kinds.values() {
            if kind.dispatch.swap(false, Ordering::Relaxed) || everything {
                dispatch(&core, kind).await;
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = core.dispatch.notified() => {}
            () = sleep(core.config.poll()) => {}
        }
    }
    Ok(())
}

/// A new connection may lead to a server that knows no tickets any more. False when the ledger did
/// not hear of it.
async fn forget_tickets(core: &Core) -> bool {
    let forgotten = core.within(db::dispatch::forget(&core.pool, &core.kind_names())).await;
    if let Err(error) = &forgotten {
        tracing::debug!(error = %error, "tickets were not forgotten");
    }
    core.kinds.values().for_each(|kind| kind.dispatch.store(true, Ordering::Relaxed));
    forgotten.is_ok()
}

async fn dispatch(core: &Core, kind: &Kind) {
    if !core.bus.is_connected() {
        // The ledger is the queue: without tickets the slots look there themselves.
        kind.due.notify_waiters();
        return;
    }
    let name = kind.registered.kind;
    let redispatch = Duration::from_millis(core.config.redispatch_ms);
    let marked = db::dispatch::tickets(&core.pool, name, redispatch, TICKETS_PER_KIND_MAX);
    let jobs = match core.within(marked).await {
        Ok(jobs) if jobs.is_empty() => return,
        Ok(jobs) => jobs,
        Err(error) => {
            tracing::warn!(kind = name, error = %error, "due jobs were not read");
            return;
        }
    };
    if let Err(error) = core.bus.publish_tickets(name, &jobs).await {
        tracing::warn!(kind = name, error = %error, "tickets were not published");
        kind.due.notify_waiters();
        // What fails here is dispatched again when its ticket is taken for lost.
        if let Err(error) = core.within(db::dispatch::forget_these(&core.pool, &jobs)).await {
            tracing::debug!(kind = name, error = %error, "tickets were not forgotten");
        }
    }
}
