//! Background work that is never lost sight of.

use std::future::Future;

use anyhow::{Context as _, anyhow};
use tokio::task::JoinSet;
use tracing::{Instrument as _, info_span};

use crate::Shutdown;

/// A group of tasks that live and end together: the first that fails stops the others.
pub struct Tasks {
    shutdown: Shutdown,
    running: JoinSet<(&'static str, anyhow::Result<()>)>,
}

impl Tasks {
    /// A group that ends when `shutdown` is cancelled.
    #[must_use]
    pub fn new(shutdown: &Shutdown) -> Self {
        Self { shutdown: shutdown.child_token(), running: JoinSet::new() }
    }

    /// The token that the group's tasks watch; cancelled also when one of them fails.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Starts a task. It returns `Ok` only once the group's token is cancelled or its work is
    /// over for good.
    pub fn spawn<F>(&mut self, name: &'static str, work: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let work = work.instrument(info_span!("task", name));
        self.running.spawn(async move { (name, work.await) });
    }

    /// Waits for every task.
    ///
    /// # Errors
    /// The first failure or panic, named by its task, after the others have stopped.
    pub async fn join(mut self) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        while let Some(ended) = self.running.join_next().await {
            let result = match ended {
                Ok((name, result)) => result.with_context(|| format!("task {name} failed")),
                Err(error) if error.is_panic() => Err(anyhow!("a task panicked: {error}")),
                Err(_) => Ok(()),
            };
            if let Err(error) = result {
                self.shutdown.cancel();
                if outcome.is_ok() {
                    outcome = Err(error);
                } else {
                    tracing::warn!(error = format!("{error:#}"), "another task failed as well");
                }
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_failure_stops_the_others_and_is_returned() {
        let mut tasks = Tasks::new(&Shutdown::new());
        let stopped = tasks.shutdown();
        tasks.spawn("patient", async move {
            stopped.cancelled().await;
            Ok(())
        });
        tasks.spawn("broken", async { Err(anyhow!("the disk is full")) });
        let error = tasks.join().await.expect_err("one task failed");
        assert_eq!(format!("{error:#}"), "task broken failed: the disk is full");
    }

    #[tokio::test]
    async fn a_panic_is_a_failure() {
        let mut tasks = Tasks::new(&Shutdown::new());
        tasks.spawn("broken", async { panic!("out of range") });
        assert!(tasks.join().await.is_err());
    }
}
