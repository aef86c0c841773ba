//! Removes what we made and nobody knows any more. Never a volume.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::Shutdown;

use crate::app::App;
use crate::dangling::{Dangling, Kind};
use crate::db;

/// From one look to the next; more often when less than this is waited.
const INTERVAL: Duration = Duration::from_secs(60);

pub(super) async fn run(app: Arc<App>, shutdown: Shutdown) -> anyhow::Result<()> {
    let grace = app.config.dangling_grace();
    let mut dangling = Dangling::default();
    while !shutdown.is_cancelled() {
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(grace.min(INTERVAL)) => {}
        }
        if !app.lease.may_change() {
            dangling = Dangling::default();
            continue;
        }
        if let Err(error) = look(&app, &mut dangling, grace).await {
            tracing::debug!(error = format!("{error:#}"), "nothing can be tidied up now");
        }
    }
    Ok(())
}

async fn look(app: &App, dangling: &mut Dangling, grace: Duration) -> anyhow::Result<()> {
    let Some(owner) = app.owner() else { return Ok(()) };
    // The projects first: what is made for a new one meanwhile is seen as nobody's once only.
    let alive = db::within(db::stack::alive(&app.pool)).await?;
    let alive: BTreeSet<_> = alive.into_iter().map(|it| it.0).collect();
    let owned = app.docker.owned(owner).await?;
    for it in dangling.overdue(&owned, &alive, Instant::now(), grace) {
        if !app.lease.may_change() {
            break;
        }
        match it.kind {
            Kind::Container => app.docker.remove_container(&it.id).await?,
            Kind::Network => app.docker.remove_network(&it.id).await?,
        }
        tracing::info!(name = it.name, id = it.id, "removed what belongs to no project");
    }
    Ok(())
}
