//! The leases that this worker holds now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::JobId;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::run::{Lease, StopReason};

/// All leases by their token: one job may be run twice in a row.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: Mutex<HashMap<Uuid, Arc<Lease>>>,
    fewer: Notify,
}

/// A lease that is kept alive until this is dropped.
pub(crate) struct Held {
    leases: Arc<Leases>,
    token: Uuid,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.leases.lock().remove(&self.token);
        self.leases.fewer.notify_waiters();
    }
}

impl Leases {
    pub(crate) fn hold(self: &Arc<Self>, lease: Arc<Lease>) -> Held {
        let token = lease.token;
        self.lock().insert(token, lease);
        Held { leases: self.clone(), token }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Lease>> {
        self.lock().values().cloned().collect()
    }

    /// Stops the job if it runs here.
    pub(crate) fn cancel(&self, id: JobId) {
        for lease in self.all() {
            if lease.id == id {
                lease.stop(StopReason::Cancelled);
            }
        }
    }

    pub(crate) fn stop_all(&self, reason: StopReason) {
        self.all().iter().for_each(|lease| lease.stop(reason));
    }

    /// Waits until nothing runs.
    pub(crate) async fn none_left(&self) {
        loop {
            let fewer = self.fewer.notified();
            if self.lock().is_empty() {
                return;
            }
            fewer.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Lease>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
