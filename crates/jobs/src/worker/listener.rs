//! Hears from the ledger what is due, so that a free worker starts within milliseconds. Nothing
//! depends on it: whatever is missed is found by polling.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chassis::Shutdown;
use sqlx::postgres::PgListener;
use tokio::time::sleep;

use super::{Core, Kind};
use crate::claim::URGENT_PRIORITY;
use crate::db;

/// Between two attempts to listen.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// How long opening the connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the ledger says.
#[derive(Debug, PartialEq, Eq)]
enum Notice<'a> {
    Due { kind: &'a str, priority: u8 },
    Cancel { job: &'a str },
    Outbox,
}

pub(super) async fn run(core: Arc<Core>, stop: Shutdown) -> anyhow::Result<()> {
    let pool = database::dedicated(&core.pool, CONNECT_TIMEOUT);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            Err(error) = listen(&core, &pool) => {
                tracing::debug!(error = %error, "not listening to the ledger; polling instead");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = sleep(RETRY_DELAY) => {}
        }
    }
}

async fn listen(core: &Core, pool: &sqlx::PgPool) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(db::CHANNEL).await?;
    loop {
        // Anything may have been said before we listened, or while the connection was lost.
        wake_all(core);
        while let Some(notice) = listener.try_recv().await? {
            if let Some(notice) = parse(notice.payload()) {
                heed(core, &notice);
            }
        }
    }
}

fn parse(payload: &str) -> Option<Notice<'_>> {
    let mut words = payload.split(' ');
    match (words.next()?, words.next(), words.next()) {
        ("due", Some(kind), Some(priority)) => {
            Some(Notice::Due { kind, priority: priority.parse().ok()? })
        }
        ("cancel", Some(job), None) => Some(Notice::Cancel { job }),
        ("outbox", None, None) => Some(Notice::Outbox),
        _ => None,
    }
}

fn heed(core: &Core, notice: &Notice<'_>) {
    match *notice {
        Notice::Due { kind, priority } => {
            if let Some(kind) = core.kinds.get(kind) {
                wake(core, kind, priority >= URGENT_PRIORITY);
            }
        }
        Notice::Cancel { job } => {
            if let Ok(job) = job.parse() {
                core.leases.cancel(job);
            }
        }
        Notice::Outbox => core.outbox.notify_one(),
    }
}

fn wake(core: &Core, kind: &Kind, urgent: bool) {
    kind.dispatch.store(true, Ordering::Relaxed);
    core.dispatch.notify_one();
    if urgent {
        kind.urgent.notify_one();
    }
}

fn wake_all(core: &Core) {
    core.kinds.values().for_each(|kind| wake(core, kind, true));
    core.outbox.notify_one();
    core.suspects.notify_one();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_understood_and_others_passed_over() {
        let due = Notice::Due { kind: "ingestion.fetch", priority: 9 };
        assert_eq!(parse("due ingestion.fetch 9"), Some(due));
        assert_eq!(parse("cancel 17"), Some(Notice::Cancel { job: "17" }));
        assert_eq!(parse("outbox"), Some(Notice::Outbox));
        for strange in ["", "due", "due x", "due x y", "later x 1"] {
            assert_eq!(parse(strange), None, "{strange}");
        }
    }
}
