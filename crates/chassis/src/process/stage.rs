//! What stops together when a process drains.

use std::future::Future;

use tokio_util::task::TaskTracker;

use crate::{Shutdown, Tasks};

/// Tasks that are told to stop together, and waited for before the next stage is told.
#[derive(Clone, Default)]
pub(super) struct Stage {
    stop: Shutdown,
    running: TaskTracker,
}

impl Stage {
    /// The token that this stage's tasks watch.
    pub(super) fn shutdown(&self) -> Shutdown {
        self.stop.clone()
    }

    /// Starts a task of this stage.
    pub(super) fn spawn<F>(&self, tasks: &mut Tasks, name: &'static str, work: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        tasks.spawn(name, self.running.track_future(work));
    }

    /// Tells the tasks to stop and waits until all have.
    pub(super) async fn end(&self) {
        self.stop.cancel();
        self.running.close();
        self.running.wait().await;
    }
}
