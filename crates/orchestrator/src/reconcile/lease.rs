//! Who acts on a daemon: one of all orchestrators that share a database.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chassis::Shutdown;
use chassis::readiness::State as Ready;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use crate::app::App;
use crate::db;
use crate::db::lease::Claim;

/// While the daemon cannot be asked who it is.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// A daemon that does not say any more who it is keeps its orchestrator for so long.
const DAEMON_PATIENCE: Duration = Duration::from_secs(60);

/// Of a lease's time, the part after which its holder stops: clocks run at different speeds, and
/// a call may be under way.
const SAFE_PART: f64 = 0.7;

/// Whether we are the one that acts.
#[derive(Debug)]
pub struct Lease {
    holder: Uuid,
    /// `None`: somebody else acts, or nobody yet.
    held_until: Mutex<Option<Instant>>,
    daemon: watch::Sender<Option<Daemon>>,
    readiness: watch::Sender<Ready>,
    /// The stacks are kept on another daemon.
    elsewhere: AtomicBool,
}

/// The daemon that we act on.
#[derive(Debug, Clone)]
struct Daemon {
    id: String,
    /// When it last said so.
    seen: Instant,
}

impl Lease {
    pub(crate) fn new() -> Self {
        let (daemon, readiness) = (watch::Sender::new(None), watch::Sender::new(Ready::Starting));
        let (held_until, elsewhere) = (Mutex::new(None), AtomicBool::new(false));
        Self { holder: Uuid::now_v7(), held_until, daemon, readiness, elsewhere }
    }

    /// Whether anything may be changed now.
    #[must_use]
    pub fn may_change(&self) -> bool {
        self.state().is_some_and(|until| Instant::now() < until)
    }

    /// Whether ended services may be started again: also while the database is away. Should only
    /// we be cut off from it, another orchestrator may have taken over meanwhile: then what its
    /// owner stops there is started here. That is the price for healing without a database.
    #[must_use]
    pub fn may_start(&self) -> bool {
        self.state().is_some()
    }

    /// What the service says of itself.
    pub(crate) fn readiness(&self) -> watch::Receiver<Ready> {
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
    tokio::select! {
        // A daemon that answers slowly must not keep us from renewing.
        () = identify(&app) => {}
        () = renew(&app, &shutdown) => {}
    }
    *lease.state() = None;
    db::within(db::lease::release(&app.pool, lease.holder)).await.ok();
    Ok(())
}

/// Asks the daemon again and again who it is.
async fn identify(app: &App) {
    let lease = &app.lease;
    loop {
        let pause = match app.docker.identity().await {
            Ok(id) => {
                lease.daemon.send_replace(Some(Daemon { id, seen: Instant::now() }));
                if !lease.elsewhere.load(Ordering::Relaxed) {
                    lease.readiness.send_replace(Ready::Ready);
                }
                app.config.lease() / 4
            }
            Err(error) => {
                let told = format!("docker: unavailable: {error}");
                lease.readiness.send_replace(Ready::ReadyWithout(told));
                RETRY_INTERVAL
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn renew(app: &App, shutdown: &Shutdown) {
    let mut daemon = app.lease.daemon.subscribe();
    let ttl = app.config.lease();
    while !shutdown.is_cancelled() {
        let known = daemon.borrow_and_update().clone();
        let known = known.filter(|it| it.seen.elapsed() < DAEMON_PATIENCE);
        if let Some(Daemon { id, .. }) = &known {
            take(app, id, ttl).await;
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(ttl / 4), if known.is_some() => {}
            // The sender lives as long as we do.
            _ = daemon.changed(), if known.is_none() => {}
        }
    }
}

async fn take(app: &App, daemon: &str, ttl: Duration) {
    let lease = &app.lease;
    let asked = Instant::now();
    match db::within(db::lease::take(&app.pool, daemon, lease.holder, ttl)).await {
        Ok(Claim::Ours) => {
            lease.elsewhere.store(false, Ordering::Relaxed);
            let until = asked + ttl.mul_f64(SAFE_PART);
            if lease.state().replace(until).is_none() {
                tracing::info!(daemon, "this orchestrator acts on the daemon");
                app.happened(|_| true);
            }
        }
        Ok(claim) => {
            let elsewhere = matches!(claim, Claim::Elsewhere(_));
            lease.elsewhere.store(elsewhere, Ordering::Relaxed);
            if let Claim::Elsewhere(other) = &claim {
                lease.readiness.send_replace(Ready::ReadyWithout(kept_elsewhere(other)));
            }
            if lease.state().take().is_some() {
                tracing::warn!(daemon, ?claim, "another orchestrator acts now");
                app.happened(|_| true);
            }
        }
        Err(error) => tracing::warn!(error = %error, "the lease cannot be renewed now"),
    }
}

fn kept_elsewhere(daemon: &str) -> String {
    format!(
        "docker: the stacks of this database are kept on another daemon ({daemon}), and a database \
         has one: use that daemon's socket, or another database"
    )
}
