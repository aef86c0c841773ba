//! Listens to Docker and wakes whom it concerns.

use std::sync::Arc;
use std::time::Duration;

use chassis::Shutdown;
use chrono::{TimeDelta, Utc};
use futures::StreamExt as _;

use crate::app::App;
use crate::docker::{Error, Event};

/// From the end of a stream to the next.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// A container's process was ended at its memory limit: its first one, or a child.
const OUT_OF_MEMORY: &str = "oom";

/// How far back a new stream begins: a look at everything comes after it anyway.
const OVERLAP: TimeDelta = TimeDelta::seconds(1);

pub(super) async fn run(app: Arc<App>, shutdown: Shutdown) -> anyhow::Result<()> {
    while !shutdown.is_cancelled() {
        tokio::select! {
            () = shutdown.cancelled() => {}
            ended = listen(&app) => {
                if let Err(error) = ended {
                    tracing::debug!(error = %error, "no events from Docker now");
                }
                // Whoever thinks that all is well shall find out that nobody answers.
                app.happened(|_| true);
                tokio::select! {
                    () = tokio::time::sleep(RETRY_INTERVAL) => {}
                    () = shutdown.cancelled() => {}
                }
            }
        }
    }
    Ok(())
}

/// Until the stream ends, which it does when the daemon stops.
async fn listen(app: &App) -> Result<(), Error> {
    let Some(owner) = app.owner() else { return Ok(()) };
    app.docker.knock().await?;
    let mut events = Box::pin(app.docker.events(owner, Utc::now() - OVERLAP).await?);
    // What happened while nobody listened is found by looking.
    app.happened(|_| true);
    while let Some(event) = events.next().await {
        wake(app, &event?);
    }
    Ok(())
}

fn wake(app: &App, event: &Event) {
    if let Some(project) = event.project.filter(|_| event.action == OUT_OF_MEMORY) {
        // Whom it hit, the service itself or a child, is judged at the next look.
        app.usage.killed_for_memory(project, &event.service);
    }
    match event.project {
        Some(project) => app.happened(|it| it == project),
        None => app.happened(|it| app.naming(it).names_network(&event.network)),
    }
}
