//! The series of this service; their names and labels are the contract with dashboards and alerts.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

/// Documents by kind of source and outcome of their submission.
pub const DOCUMENTS: &str = "ingest_documents_total";
/// Bytes of text submitted.
pub const BYTES: &str = "ingest_bytes_total";
/// How long each stage takes, in seconds.
pub const STAGE_DURATION: &str = "ingest_stage_duration_seconds";
/// Unix time of the last good look at a source, by kind.
pub const LAST_SUCCESS: &str = "ingest_last_success_timestamp_seconds";
/// Bytes that wait between the stages.
pub const WAITING_BYTES: &str = "ingest_waiting_bytes";

/// Names every series and says what it means.
pub fn describe() {
    metrics::describe_counter!(DOCUMENTS, "documents by kind of source and outcome");
    metrics::describe_counter!(BYTES, metrics::Unit::Bytes, "bytes of text submitted");
    metrics::describe_histogram!(STAGE_DURATION, metrics::Unit::Seconds, "duration of a stage");
    metrics::describe_gauge!(LAST_SUCCESS, metrics::Unit::Seconds, "time of the last good look");
    metrics::describe_gauge!(WAITING_BYTES, metrics::Unit::Bytes, "bytes between the stages");
}

/// Counts a document.
pub fn document(kind: &'static str, outcome: &'static str, bytes: usize) {
    counter!(DOCUMENTS, "source" => kind, "outcome" => outcome).increment(1);
    counter!(BYTES, "source" => kind).increment(bytes as u64);
}

/// Records how long a stage took.
pub fn stage(stage: &'static str, took: Duration) {
    histogram!(STAGE_DURATION, "stage" => stage).record(took.as_secs_f64());
}

/// Notes a good look at a source.
pub fn looked(kind: &'static str) {
    let now = chrono::Utc::now().timestamp() as f64;
    gauge!(LAST_SUCCESS, "source" => kind).set(now);
}

/// Notes how much waits between the stages.
pub fn waiting_bytes(bytes: i64) {
    gauge!(WAITING_BYTES).set(bytes as f64);
}
