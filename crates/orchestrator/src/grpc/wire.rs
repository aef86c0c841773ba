//! Stacks, health, failures and operations as they go over the wire.

use prost::Message as _;
use proto::orchestrator::v1;
use proto::time::to_wire;
use proto::{Failure, Reason};

use crate::db::operation::{Operation, Step};
use crate::db::stack::Stack as Row;
use crate::diff::Change;
use crate::health::{Health, ServiceHealth};
use crate::postmortem::Postmortem;
use crate::probe::Answer;
use crate::spec::Service;
use crate::usage::{Record, Sample};

/// The stored spec.
pub(super) fn spec(row: &Row) -> Result<v1::StackSpec, Failure> {
    v1::StackSpec::decode(row.spec.as_slice()).map_err(|error| {
        tracing::error!(error = %error, project.id = %row.project_id, "a stored spec is broken");
        Failure::new(Reason::Internal, "the stored spec cannot be read: apply the stack again")
    })
}

pub(super) fn stack(row: &Row) -> Result<v1::Stack, Failure> {
    Ok(v1::Stack {
        project_id: row.project_id.to_string(),
        generation: u64::try_from(row.generation).unwrap_or(0),
        desired: row.wish.clone(),
        spec: Some(spec(row)?),
        applied_at: Some(to_wire(row.applied_at)),
    })
}

pub(super) fn operation(it: Operation, steps: Vec<Step>) -> v1::Operation {
    let step = |it: Step| v1::OperationStep {
        at: Some(to_wire(it.at)),
        service: it.service,
        text: it.text,
        state: it.state,
    };
    v1::Operation {
        id: it.id.to_string(),
        project_id: it.project_id.to_string(),
        kind: it.kind,
        service: it.service,
        state: it.state,
        steps: steps.into_iter().map(step).collect(),
        reason: it.reason,
        message: it.message,
        hint: it.hint,
        started_at: Some(to_wire(it.started_at)),
        finished_at: it.finished_at.map(to_wire),
        actor: it.actor,
    }
}

pub(super) fn change(it: Change) -> v1::Change {
    v1::Change {
        kind: it.kind.to_owned(),
        name: it.name,
        action: it.action.to_owned(),
        reasons: it.reasons,
    }
}

pub(super) fn health(it: &Health) -> v1::StackHealth {
    v1::StackHealth {
        project_id: it.project.to_string(),
        status: it.status.as_str().to_owned(),
        reason: it.reason.clone(),
        generation: it.generation,
        services: it.services.iter().map(service).collect(),
        observed_at: Some(to_wire(it.observed_at)),
    }
}

fn service(it: &ServiceHealth) -> v1::ServiceHealth {
    let diagnosis = it.diagnosis.clone();
    let (reason, message, hint) =
        diagnosis.map(|it| (it.reason.code().to_owned(), it.message, it.hint)).unwrap_or_default();
    v1::ServiceHealth {
        name: it.name.clone(),
        status: it.status.as_str().to_owned(),
        reason,
        message,
        hint,
        container_id: it.container_id.clone(),
        image: it.image.clone(),
        started_at: it.started_at.map(to_wire),
        restarts: it.restarts,
        next_restart_at: it.next_restart_at.map(to_wire),
        exit_code: it.exit_code,
        probes: it.probes.iter().map(answer).collect(),
        published: it.published.clone(),
    }
}

fn answer(it: &Answer) -> v1::ProbeOutput {
    v1::ProbeOutput {
        probe: it.purpose.as_str().to_owned(),
        verdict: it.verdict.as_str().to_owned(),
        output: it.output.clone(),
        at: Some(to_wire(it.at)),
        took: prost_types::Duration::try_from(it.took).ok(),
    }
}

pub(crate) fn failure(it: &Postmortem) -> v1::Failure {
    let usage = |sample: &Sample| v1::ServiceResources {
        name: it.service.clone(),
        memory_peak_bytes: it.memory_peak,
        memory_limit_bytes: sample.memory_limit,
        pids_limit: sample.pids_limit,
        ..used(sample)
    };
    v1::Failure {
        id: it.id.to_string(),
        service: it.service.clone(),
        reason: it.diagnosis.reason.code().to_owned(),
        message: it.diagnosis.message.clone(),
        hint: it.diagnosis.hint.clone(),
        at: Some(to_wire(it.at)),
        exit_code: it.exit_code,
        out_of_memory: it.out_of_memory,
        memory_peak_bytes: it.memory_peak,
        last_lines: it.last_lines.clone(),
        probes: it.probes.iter().map(answer).collect(),
        usage: it.usage.iter().map(usage).collect(),
        operation_id: it.operation.map(|it| it.to_string()).unwrap_or_default(),
        attempt: it.attempt,
    }
}

/// What a service uses of its limits; without a sample yet, the limits alone.
pub(super) fn resources(service: &Service, record: &Record) -> v1::ServiceResources {
    let limits = service.resources;
    let without = v1::ServiceResources {
        name: service.name.clone(),
        cpu_limit_millis: u64::from(limits.cpu_millis),
        memory_limit_bytes: limits.memory_bytes,
        memory_peak_bytes: record.memory_peak,
        pids_limit: u64::from(limits.pids),
        oom_kills: record.oom_kills,
        ..v1::ServiceResources::default()
    };
    let Some(sample) = record.latest() else { return without };
    v1::ServiceResources {
        name: without.name,
        cpu_limit_millis: without.cpu_limit_millis,
        memory_peak_bytes: without.memory_peak_bytes,
        memory_limit_bytes: without.memory_limit_bytes,
        pids_limit: without.pids_limit,
        oom_kills: without.oom_kills,
        ..used(sample)
    }
}

/// What was used, without whose it is and the limits.
fn used(sample: &Sample) -> v1::ServiceResources {
    v1::ServiceResources {
        at: Some(to_wire(sample.at)),
        cpu_millis: sample.cpu_millis,
        memory_bytes: sample.memory,
        pids: sample.pids,
        network_received_bytes: sample.received,
        network_sent_bytes: sample.sent,
        disk_read_bytes: sample.disk_read,
        disk_written_bytes: sample.disk_written,
        ..v1::ServiceResources::default()
    }
}
