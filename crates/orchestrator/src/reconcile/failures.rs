//! Puts together, stores and logs what is known about each end, beside the reconciler's own work:
//! the log of a process that has just ended takes a moment to be read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use proto::{OperationId, ProjectId};
use tokio::task::JoinSet;
use tracing::Instrument as _;

use crate::app::App;
use crate::db;
use crate::db::operation::Operation;
use crate::grpc::wire;
use crate::logs::Run;
use crate::memory::Incident;
use crate::metrics;
use crate::postmortem::{Evidence, LINES_MAX, Postmortem, assemble};
use crate::probe::{Answer, Snapshot};
use crate::reason::Diagnosis;

/// Postmortems of a project that wait for a log or for the database, at most.
const UNTOLD_MAX: usize = 64;

/// While the database is away, storing is tried this often, and so many times.
const STORE_INTERVAL: Duration = Duration::from_secs(5);
const STORES_MAX: u32 = 120;

/// How long the end of the service waits for postmortems under way.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// The failures of a project's services.
#[derive(Default)]
pub(super) struct Failures {
    /// What probes said last, by service: the end comes after the last question.
    answers: BTreeMap<String, Vec<Answer>>,
    under_way: JoinSet<(Incident, Diagnosis)>,
}

impl Failures {
    /// Remembers what probes say now.
    pub(super) fn learn(&mut self, probes: &BTreeMap<String, Snapshot>) {
        for (service, snapshot) in probes.iter().filter(|it| !it.1.answers.is_empty()) {
            self.answers.insert(service.clone(), snapshot.answers.clone());
        }
    }

    /// Begins to explain and to keep what failed.
    pub(super) fn record(
        &mut self,
        app: &Arc<App>,
        project: ProjectId,
        operation: Option<&Operation>,
        incidents: Vec<Incident>,
    ) {
        for incident in incidents {
            if self.under_way.len() >= UNTOLD_MAX {
                let service = incident.service;
                tracing::error!(project.id = %project, service, "too many failures; one is lost");
                continue;
            }
            let span = tracing::info_span!("failure");
            let traceparent = operation.and_then(|it| it.traceparent.as_deref());
            if let Some(traceparent) = traceparent {
                telemetry::propagation::set_parent(&span, traceparent);
            }
            let case = Case {
                app: app.clone(),
                project,
                operation: operation.map(|it| it.id),
                // Of a process that never began, nobody asked anything.
                answers: match incident.began {
                    Some(_) => self.answers.remove(&incident.service).unwrap_or_default(),
                    None => Vec::new(),
                },
                incident,
            };
            self.under_way.spawn(case.close().instrument(span));
        }
    }

    /// What was explained since it was last asked.
    pub(super) fn explained(&mut self) -> Vec<(Incident, Diagnosis)> {
        let mut explained = Vec::new();
        while let Some(ended) = self.under_way.try_join_next() {
            match ended {
                Ok(it) => explained.push(it),
                Err(error) => tracing::error!(error = %error, "a postmortem broke off"),
            }
        }
        explained
    }

    /// Waits a little for what is under way.
    pub(super) async fn finish(&mut self) {
        let all = async { while self.under_way.join_next().await.is_some() {} };
        tokio::time::timeout(FINISH_TIMEOUT, all).await.ok();
    }
}

/// One failure, and everything that is at hand.
struct Case {
    app: Arc<App>,
    project: ProjectId,
    operation: Option<OperationId>,
    answers: Vec<Answer>,
    incident: Incident,
}

impl Case {
    async fn close(self) -> (Incident, Diagnosis) {
        // At once, without the log, so that a kill of ours leaves something too.
        self.store(&self.postmortem(&[])).await.ok();
        let lines = self.lines().await;
        let post = self.postmortem(&lines);
        self.log(&post);
        for _ in 0..STORES_MAX {
            match self.store(&post).await {
                Ok(()) => break,
                Err(error) => tracing::debug!(error = %error, "a failure is not stored yet"),
            }
            tokio::time::sleep(STORE_INTERVAL).await;
        }
        self.app.project(self.project).happened.notify_one();
        (self.incident, post.diagnosis)
    }

    async fn lines(&self) -> Vec<String> {
        let Incident { service, container, began, at, .. } = &self.incident;
        let Some(started_at) = *began else { return Vec::new() };
        let run = Run { container, started_at, finished_at: *at };
        let lines = self.app.logs.last_lines(self.project, service, run, LINES_MAX).await;
        lines.unwrap_or_else(|error| {
            tracing::debug!(error = %error, service, "a failure has no log lines");
            Vec::new()
        })
    }

    fn postmortem(&self, lines: &[String]) -> Postmortem {
        let incident = &self.incident;
        let usage = self.app.usage.record(self.project, &incident.service);
        assemble(&Evidence {
            project: self.project,
            service: &incident.service,
            container: &incident.container,
            at: incident.at,
            event: &incident.event,
            lines,
            probes: &self.answers,
            // The peak is the container's; another may have taken its place.
            usage: usage.as_ref().filter(|it| it.container == incident.container),
            operation: self.operation,
            attempt: incident.attempt,
        })
    }

    async fn store(&self, post: &Postmortem) -> sqlx::Result<()> {
        let failure = wire::failure(post).encode_to_vec();
        let new = db::failure::New {
            id: post.id,
            project: self.project,
            service: &post.service,
            at: post.at,
            reason: post.diagnosis.reason.code(),
            failure: &failure,
        };
        db::within(db::failure::store(&self.app.pool, &new)).await
    }

    fn log(&self, post: &Postmortem) {
        metrics::failed(post.diagnosis.reason.code());
        tracing::warn!(
            project.id = %self.project,
            service = post.service,
            operation.id = post.operation.map(tracing::field::display),
            attempt = post.attempt,
            reason = post.diagnosis.reason.code(),
            exit_code = post.exit_code,
            out_of_memory = post.out_of_memory,
            failure.id = %post.id,
            trace_id = telemetry::propagation::current_trace_id(),
            "{} failed: {}",
            post.service,
            post.diagnosis.message
        );
    }
}
