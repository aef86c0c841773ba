//! Says that our jobs live, from a thread and a connection of its own: neither work that hogs the
//! processor nor an exhausted pool may cost a lease.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Core;
use super::leases::Leases;
use crate::db;
use crate::run::StopReason;

/// After a failure the next beat comes this soon, as the lease runs on.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The thread ends when this is dropped.
pub(crate) struct Heartbeat {
    _stop: DropGuard,
}

impl Heartbeat {
    /// Starts the thread.
    pub(crate) fn start(core: &Core) -> std::io::Result<Self> {
        let stop = CancellationToken::new();
        let beat = Beat {
            pool: core.pool.clone(),
            leases: core.leases.clone(),
            lease: core.config.lease(),
            interval: core.config.heartbeat(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stopped = stop.clone();
        thread::Builder::new().name("jobs-heartbeat".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = stopped.cancelled() => {}
                    () = beat.run() => {}
                }
            });
        })?;
        Ok(Self { _stop: stop.drop_guard() })
    }
}

struct Beat {
    pool: PgPool,
    leases: Arc<Leases>,
    lease: Duration,
    interval: Duration,
}

impl Beat {
    async fn run(mut self) {
        self.pool = database::dedicated(&self.pool, self.interval);
        loop {
            let next = if self.once().await { self.interval } else { RETRY_DELAY };
            sleep(next.min(self.interval)).await;
        }
    }

    /// One beat; false when the database did not answer. The jobs go on then: whether they still
    /// hold their lease shows when it answers again, and no effect commits without it.
    async fn once(&self) -> bool {
        let held = self.leases.all();
        if held.is_empty() {
            return true;
        }
        let (ids, tokens): (Vec<_>, Vec<_>) =
            held.iter().map(|lease| (lease.id, lease.token)).unzip();
        let beat = db::lease::heartbeat(&self.pool, &ids, &tokens, self.lease);
        let alive: HashMap<_, _> = match timeout(self.interval, beat).await {
            Ok(Ok(alive)) => alive.into_iter().collect(),
            Ok(Err(error)) => {
                tracing::warn!(error = %error, leases = held.len(), "a heartbeat failed");
                return false;
            }
            Err(_) => {
                tracing::warn!(leases = held.len(), "a heartbeat was not answered");
                return false;
            }
        };
        for lease in held {
            match alive.get(&lease.token) {
                None => lease.stop(StopReason::LeaseLost),
                Some(true) => lease.stop(StopReason::Cancelled),
                Some(false) => {}
            }
        }
        true
    }
}
