//! The series of this service; their names and labels are the contract with dashboards and alerts.
//! No label names a project, a service or a container: their number has no bound.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chassis::Shutdown;
use metrics::{counter, gauge, histogram};

use crate::app::App;
use crate::status::Status;

/// Stacks that are looked after, by `status`.
pub const STACKS: &str = "orchestrator_stacks";
/// Their services, by `status`.
pub const SERVICES: &str = "orchestrator_services";
/// Whether this process acts on the daemon (1) or stands by (0).
pub const ACTS: &str = "orchestrator_acts";
/// Processes that were started again.
pub const RESTARTS: &str = "orchestrator_restarts_total";
/// Ends and refusals that count as failures, by `reason`.
pub const FAILURES: &str = "orchestrator_failures_total";
/// Operations that ended, in seconds; labels `kind` and `outcome` (succeeded, failed).
pub const OPERATION_DURATION: &str = "orchestrator_operation_duration_seconds";
/// Calls of the Engine, in seconds; labels `operation` and `outcome` (ok, refused, timeout,
/// unreachable, skipped, malformed, too_old).
pub const DOCKER_DURATION: &str = "docker_client_operation_duration_seconds";
/// Whether calls of the Engine fail at once (1) or pass (0).
pub const BREAKER_OPEN: &str = "docker_client_breaker_open";
/// Lines of services that were kept.
pub const LOG_LINES: &str = "orchestrator_log_lines_total";
/// Places where lines are missing.
pub const LOG_GAPS: &str = "orchestrator_log_gaps_total";
/// Answers of probes, in seconds; labels `probe` (startup, readiness, liveness) and `verdict`.
pub const PROBE_DURATION: &str = "orchestrator_probe_duration_seconds";
/// Scans of images, by `verdict` (clean, findings, stale, unknown), every severity counted.
pub const SCANS: &str = "orchestrator_scans_total";

/// How often the gauges are set.
const INTERVAL: Duration = Duration::from_secs(5);

const STATUSES: [Status; 6] = [
    Status::Ready,
    Status::Starting,
    Status::Degraded,
    Status::Failed,
    Status::Stopped,
    Status::Unknown,
];

/// Names every series and says what it means.
pub fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_gauge!(STACKS, "stacks that are looked after, by status");
    describe_gauge!(SERVICES, "services of stacks, by status");
    describe_gauge!(ACTS, "whether this process acts on the daemon");
    describe_counter!(RESTARTS, "processes that were started again");
    describe_counter!(FAILURES, "ends and refusals that count as failures, by reason");
    describe_histogram!(OPERATION_DURATION, Unit::Seconds, "duration of operations");
    describe_histogram!(DOCKER_DURATION, Unit::Seconds, "duration of the Engine's calls");
    describe_gauge!(BREAKER_OPEN, "whether calls of the Engine fail at once");
    describe_counter!(LOG_LINES, "lines of services that were kept");
    describe_counter!(LOG_GAPS, "places where lines of services are missing");
    describe_histogram!(PROBE_DURATION, Unit::Seconds, "duration of probes");
    describe_counter!(SCANS, "scans of images, by verdict");
}

/// Sets the gauges now and then.
pub(crate) async fn run(app: Arc<App>, shutdown: Shutdown) -> anyhow::Result<()> {
    describe();
    while !shutdown.is_cancelled() {
        let health = app.healths();
        count(STACKS, health.iter().map(|it| it.status));
        count(SERVICES, health.iter().flat_map(|it| &it.services).map(|it| it.status));
        gauge!(ACTS).set(f64::from(u8::from(app.lease.may_change())));
        gauge!(BREAKER_OPEN).set(f64::from(u8::from(!app.docker.is_reachable())));
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
    Ok(())
}

/// Also those that are nobody's: what went must not stay as it was.
fn count(name: &'static str, statuses: impl Iterator<Item = Status>) {
    let mut counts: BTreeMap<&str, u32> = STATUSES.iter().map(|it| (it.as_str(), 0)).collect();
    statuses.for_each(|it| *counts.entry(it.as_str()).or_default() += 1);
    for (status, count) in counts {
        gauge!(name, "status" => status).set(f64::from(count));
    }
}

/// Counts a process that was started again.
pub fn restarted() {
    counter!(RESTARTS).increment(1);
}

/// Counts a failure.
pub fn failed(reason: &'static str) {
    counter!(FAILURES, "reason" => reason).increment(1);
}

/// Records an operation that ended.
pub fn operation(kind: &'static str, succeeded: bool, took: Duration) {
    let outcome = if succeeded { "succeeded" } else { "failed" };
    let histogram = histogram!(OPERATION_DURATION, "kind" => kind, "outcome" => outcome);
    histogram.record(took.as_secs_f64());
}

/// Records a call of the Engine.
pub fn docker(operation: &'static str, outcome: &'static str, took: Duration) {
    let histogram = histogram!(DOCKER_DURATION, "operation" => operation, "outcome" => outcome);
    histogram.record(took.as_secs_f64());
}

/// Counts lines that were kept.
pub fn log_lines(lines: u64) {
    counter!(LOG_LINES).increment(lines);
}

/// Counts a place where lines are missing.
pub fn log_gap() {
    counter!(LOG_GAPS).increment(1);
}

/// Records an answer of a probe.
pub fn probe(purpose: &'static str, verdict: &'static str, took: Duration) {
    let histogram = histogram!(PROBE_DURATION, "probe" => purpose, "verdict" => verdict);
    histogram.record(took.as_secs_f64());
}

/// Counts a scan.
pub fn scan(verdict: &'static str) {
    counter!(SCANS, "verdict" => verdict).increment(1);
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn the_series_are_what_the_names_say() {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            describe();
            count(STACKS, [Status::Ready, Status::Ready, Status::Failed].into_iter());
            restarted();
            failed("EXITED");
            operation("apply", true, Duration::from_secs(2));
            docker("list containers", "ok", Duration::from_millis(3));
            log_lines(7);
            log_gap();
            probe("liveness", "failure", Duration::from_millis(9));
            scan("clean");
        });
        let page = recorder.handle().render();
        for line in [
            r#"orchestrator_stacks{status="ready"} 2"#,
            r#"orchestrator_stacks{status="failed"} 1"#,
            r#"orchestrator_stacks{status="unknown"} 0"#,
            "orchestrator_restarts_total 1",
            r#"orchestrator_failures_total{reason="EXITED"} 1"#,
            r#"orchestrator_operation_duration_seconds_count{kind="apply",outcome="succeeded"} 1"#,
            r#"docker_client_operation_duration_seconds_count{operation="list containers",outcome="ok"} 1"#,
            "orchestrator_log_lines_total 7",
            "orchestrator_log_gaps_total 1",
            r#"orchestrator_probe_duration_seconds_count{probe="liveness",verdict="failure"} 1"#,
            r#"orchestrator_scans_total{verdict="clean"} 1"#,
        ] {
            assert!(page.lines().any(|it| it == line), "{line} is not in\n{page}");
        }
    }
}
