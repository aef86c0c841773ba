//! Who acts on a daemon: one of all orchestrators that share a database.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chassis::Shutdown;
use chassis::readiness::State as Ready;
use tokio::time::Instant;
use uuid::Uuid;

use crate::app::App;
use crate::db;

/// While the daemon cannot be asked who it is.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// Of a lease's time, the part after which its holder stops: clocks run at different speeds, and
/// a call may be under way.
const SAFE_PART: f64 = 0.7;

/// Whether we are the one that acts.
#[derive(Debug)]
pub struct Lease {
    holder: Uuid,
    /// `None`: somebody else acts, or nobody yet.
    held_until: Mutex<Option<Instant>>,
    readiness: tokio::sync::watch::Sender<Ready>,
}

impl Lease {
    pub(crate) fn new() -> Self {
        let readiness = tokio::sync::watch::Sender::new(Ready::Starting);
        Self { holder: Uuid::now_v7(), held_until: Mutex::new(None), readiness }
    }

    /// Whether anything may be changed now.
    #[must_use]
    pub fn may_change(&self) -> bool {
        self.state().is_some_and(|until| Instant::now() < until)
    }

    /// Whether ended services may be started again: also while the database is away, as then
    /// nobody else can take over.
    #[must_use]
    pub fn may_start(&self) -> bool {
        self.state().is_some()
    }

    /// What the service says of itself.
    pub(crate) fn readiness(&self) -> tokio::sync::watch::Receiver<Ready> {
        self.readiness.subscribe()
    }

    fn state(&self) -> MutexGuard<'_, Option<Instant>> {
        // One value, written at once.
        self.held_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the lease, renews it, and gives it back at the end.
pub(super) async fn run(app: Arc<App>, shutdown: Shutdown) -> anyhow::Result<()> {
    let lease = &app.lease;
    while !shutdown.is_cancelled() {
        let pause = renew(&app).await;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => {}
        }
    }
    *lease.state() = None;
    db::within(db::lease::release(&app.pool, lease.holder)).await.ok();
    Ok(())
}

async fn renew(app: &App) -> Duration {
    let lease = &app.lease;
    let daemon = match app.docker.identity().await {
        Ok(daemon) => daemon,
        Err(error) => {
            let told = format!("docker: unavailable: {error}");
            lease.readiness.send_replace(Ready::ReadyWithout(told));
            return RETRY_INTERVAL;
        }
    };
    lease.readiness.send_replace(Ready::Ready);
    let ttl = app.config.lease();
    let asked = Instant::now();
    match db::within(db::lease::take(&app.pool, &daemon, lease.holder, ttl)).await {
        Ok(true) => {
            let until = asked + ttl.mul_f64(SAFE_PART);
            if lease.state().replace(until).is_none() {
                tracing::info!(daemon, "this orchestrator acts on the daemon");
                app.happened(|_| true);
            }
        }
        Ok(false) => {
            if lease.state().take().is_some() {
                tracing::warn!(daemon, "another orchestrator acts on the daemon now");
                app.happened(|_| true);
            }
        }
        Err(error) => tracing::warn!(error = %error, "the lease cannot be renewed now"),
    }
    ttl / 4
}
