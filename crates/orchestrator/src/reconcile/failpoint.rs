//! A place where a test breaks off the work, as a kill does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

/// Never breaks off, unless it was made by [`Failpoint::at`].
#[derive(Debug, Clone, Default)]
pub struct Failpoint {
    set: Option<Arc<Set>>,
}

#[derive(Debug)]
struct Set {
    at: u32,
    passed: AtomicU32,
    reached: Notify,
}

impl Failpoint {
    /// Lets `at` points pass and none after: whoever comes to the next one waits for ever. There
    /// is one point before each call of the Engine that changes something, and one after.
    #[must_use]
    pub fn at(at: u32) -> Self {
        Self { set: Some(Arc::new(Set { at, passed: AtomicU32::new(0), reached: Notify::new() })) }
    }

    /// Waits until the work was broken off. It has no limit of its own: the test sets one.
    pub async fn reached(&self) {
        match &self.set {
            Some(set) => set.reached.notified().await,
            None => std::future::pending().await,
        }
    }

    pub(super) async fn pass(&self) {
        if let Some(set) = &self.set
            && set.passed.fetch_add(1, Ordering::Relaxed) >= set.at
        {
            set.reached.notify_one();
            std::future::pending::<()>().await;
        }
    }
}
