//! Which services of this process are ready, and why not.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::sync::watch;

/// How a service does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "reason", rename_all = "snake_case")]
pub enum State {
    /// Not yet ready: migrating, connecting, loading.
    Starting,
    /// Does its job.
    Ready,
    /// Does its job; something outside that it can do without, and that only some of its callers
    /// need, is not there.
    #[serde(rename = "ready")]
    ReadyWithout(String),
    /// Does its job with a restriction that a person should know of.
    Degraded(String),
    /// Does not do its job; it is started again after a pause.
    Failed(String),
    /// Takes no more work.
    Stopping,
}

impl State {
    /// Whether requests should be sent here.
    #[must_use]
    pub fn serves(&self) -> bool {
        matches!(self, Self::Ready | Self::ReadyWithout(_) | Self::Degraded(_))
    }
}

/// One service's line of the report.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The state.
    #[serde(flatten)]
    pub state: State,
    /// Since when.
    pub since: DateTime<Utc>,
    /// How often the service was started again after a failure.
    pub restarts: u32,
}

/// Every service's state; cheap to clone, shared by the whole process.
#[derive(Debug, Clone)]
pub struct Readiness {
    reports: Arc<watch::Sender<BTreeMap<&'static str, Report>>>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self { reports: Arc::new(watch::Sender::new(BTreeMap::new())) }
    }
}

impl Readiness {
    /// Records a service's state. Who takes no more work in this process stays so.
    pub fn set(&self, service: &'static str, state: State) {
        self.reports.send_if_modified(|reports| {
            let restarts = reports.get(service).map_or(0, |report| report.restarts);
            let stays = |report: &Report| report.state == state || report.state == State::Stopping;
            if reports.get(service).is_some_and(stays) {
                return false;
            }
            let restarts = restarts + u32::from(matches!(state, State::Failed(_)));
            reports.insert(service, Report { state, since: Utc::now(), restarts });
            true
        });
    }

    /// Records that no service takes more work.
    pub fn stop(&self) {
        for service in self.reports().into_keys() {
            self.set(service, State::Stopping);
        }
    }

    /// Tells of every change from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<BTreeMap<&'static str, Report>> {
        self.reports.subscribe()
    }

    /// Every service's report.
    #[must_use]
    pub fn reports(&self) -> BTreeMap<&'static str, Report> {
        self.reports.borrow().clone()
    }

    /// Whether there is a service and every one serves.
    #[must_use]
    pub fn all_serve(&self) -> bool {
        let reports = self.reports.borrow();
        !reports.is_empty() && reports.values().all(|report| report.state.serves())
    }

    /// Waits until every service serves. It has no limit of its own: the caller sets one.
    pub async fn ready(&self) {
        let mut changes = self.reports.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = changes
            .wait_for(|reports| {
                !reports.is_empty() && reports.values().all(|report| report.state.serves())
            })
            .await;
    }
}
