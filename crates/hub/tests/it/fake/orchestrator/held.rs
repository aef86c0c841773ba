//! What the orchestrator holds.

use std::{
    collections::BTreeMap,
    sync::{Mutex, atomic::AtomicU32},
};

use chrono::Utc;
use proto::{OperationId, orchestrator::v1 as wire, time::to_wire};
use tokio::sync::watch;
use tonic::Code;

use crate::fake::Fake;

/// By project and name: version and value.
pub(crate) type Secrets = BTreeMap<(String, String), (u32, Vec<u8>)>;

/// Everything that it holds.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) stacks: Mutex<BTreeMap<String, wire::Stack>>,
    pub(crate) health: watch::Sender<wire::StackHealth>,
    pub(crate) log: watch::Sender<Vec<wire::LogRecord>>,
    pub(crate) operations: watch::Sender<Vec<wire::Operation>>,
    pub(crate) failures: Mutex<Vec<wire::Failure>>,
    pub(crate) secrets: Mutex<Secrets>,
    /// How often a purge says that it is not done.
    pub(crate) purges_left: AtomicU32,
    /// What every call is refused with.
    pub(crate) refuses: Mutex<Option<Code>>,
}

impl Fake {
    /// A stack with one service `web`, which writes and has failed once; its last operation.
    pub(crate) fn has_stack(&self, project: &str) -> String {
        let held = &self.0.held;
        let service = wire::ServiceSpec {
            name: "web".to_owned(),
            image: "shibboleth/web:1".to_owned(),
            ..Default::default()
        };
        let stack = wire::Stack {
            project_id: project.to_owned(),
            generation: 3,
            desired: "running".to_owned(),
            spec: Some(wire::StackSpec { services: vec![service], ..Default::default() }),
            applied_at: Some(to_wire(Utc::now())),
        };
        held.stacks.lock().unwrap().insert(project.to_owned(), stack);
        held.health.send_replace(health(project, "ready", ""));
        held.log.send_replace(vec![
            mark(1, "started"),
            line(2, "\u{1b}[1;31mred\u{1b}[0m <script>alert(1)</script>"),
            line(3, "GET /shibboleth 200"),
        ]);
        held.failures.lock().unwrap().push(failure());
        let key = (project.to_owned(), "password".to_owned());
        held.secrets.lock().unwrap().insert(key, (2, b"swordfish".to_vec()));
        let mut operation = operation(project, "apply", "", "shibboleth");
        operation.state = "succeeded".to_owned();
        operation.finished_at = Some(to_wire(Utc::now()));
        held.operations.send_modify(|all| all.insert(0, operation.clone()));
        operation.id
    }

    /// Lets the service of a stack fail.
    pub(crate) fn fails(&self, project: &str, reason: &str) {
        self.0.held.health.send_replace(health(project, "failed", reason));
    }

    /// Lets every call to the orchestrator be refused; none: no longer.
    pub(crate) fn orchestrator_refuses(&self, code: Option<Code>) {
        *self.0.held.refuses.lock().unwrap() = code;
    }
}

/// Health of a stack with one service.
pub(super) fn health(project: &str, status: &str, reason: &str) -> wire::StackHealth {
    let probe = wire::ProbeOutput {
        probe: "readiness".to_owned(),
        verdict: if status == "ready" { "success" } else { "failure" }.to_owned(),
        output: "GET / answered <b>503</b>".to_owned(),
        at: Some(to_wire(Utc::now())),
        took: Some(prost_types::Duration { seconds: 0, nanos: 12_000_000 }),
    };
    let web = wire::ServiceHealth {
        name: "web".to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: if reason.is_empty() { "" } else { "its main process ended" }.to_owned(),
        hint: if reason.is_empty() { "" } else { "see its log" }.to_owned(),
        container_id: "0123456789abcdef0123".to_owned(),
        image: "shibboleth/web:1".to_owned(),
        started_at: Some(to_wire(Utc::now())),
        restarts: 4,
        exit_code: (status == "failed").then_some(137),
        probes: vec![probe],
        published: vec!["127.0.0.1:8080->80/tcp".to_owned()],
        ..Default::default()
    };
    wire::StackHealth {
        project_id: project.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        generation: 3,
        services: vec![web],
        observed_at: Some(to_wire(Utc::now())),
    }
}

/// An operation that has made one step.
pub(super) fn operation(project: &str, kind: &str, service: &str, actor: &str) -> wire::Operation {
    let step = wire::OperationStep {
        at: Some(to_wire(Utc::now())),
        service: "web".to_owned(),
        text: "create the container".to_owned(),
        state: "done".to_owned(),
    };
    wire::Operation {
        id: OperationId::generate().to_string(),
        project_id: project.to_owned(),
        kind: kind.to_owned(),
        service: service.to_owned(),
        state: "running".to_owned(),
        steps: vec![step],
        started_at: Some(to_wire(Utc::now())),
        actor: actor.to_owned(),
        ..Default::default()
    }
}

/// What is used of some limits.
pub(super) fn usage() -> wire::ServiceResources {
    wire::ServiceResources {
        name: "web".to_owned(),
        at: Some(to_wire(Utc::now())),
        cpu_millis: 250.4,
        cpu_limit_millis: 1_000,
        memory_bytes: 64 * 1024 * 1024,
        memory_peak_bytes: 96 * 1024 * 1024,
        memory_limit_bytes: 128 * 1024 * 1024,
        pids: 7,
        pids_limit: 256,
        network_received_bytes: 2_048,
        oom_kills: 1,
        ..Default::default()
    }
}

fn failure() -> wire::Failure {
    wire::Failure {
        id: OperationId::generate().to_string(),
        service: "web".to_owned(),
        reason: "OUT_OF_MEMORY".to_owned(),
        message: "shibboleth: the kernel ended it".to_owned(),
        hint: "raise its memory limit".to_owned(),
        at: Some(to_wire(Utc::now())),
        exit_code: Some(137),
        out_of_memory: true,
        memory_peak_bytes: 128 * 1024 * 1024,
        last_lines: vec!["\u{1b}[33mallocating\u{1b}[0m <b>more</b>".to_owned()],
        usage: vec![usage()],
        attempt: 2,
        ..Default::default()
    }
}

fn record(sequence: u64, kind: wire::log_record::Kind) -> wire::LogRecord {
    wire::LogRecord {
        service: "web".to_owned(),
        sequence,
        cursor: format!("web:{sequence}"),
        at: Some(to_wire(Utc::now())),
        kind: Some(kind),
    }
}

/// A line of the service's log.
pub(crate) fn line(sequence: u64, text: &str) -> wire::LogRecord {
    let line = wire::LogLine {
        stream: "stdout".to_owned(),
        text: text.to_owned(),
        level: "info".to_owned(),
        truncated: false,
    };
    record(sequence, wire::log_record::Kind::Line(line))
}

/// A mark in the service's log.
pub(crate) fn mark(sequence: u64, event: &str) -> wire::LogRecord {
    let mark = wire::LogMark { event: event.to_owned(), text: "with shibboleth/web:1".to_owned() };
    record(sequence, wire::log_record::Kind::Mark(mark))
}
