//! Metric names of this crate; `task_type` is the kind.

/// How long attempts took, by kind and outcome, in seconds.
pub const DURATION: &str = "task_duration_seconds";
/// How long jobs waited after they were due, by kind, in seconds.
pub const QUEUE_WAIT: &str = "task_queue_wait_seconds";
/// Charged attempts that will be repeated.
pub const RETRIES: &str = "task_retries_total";
/// Jobs that died.
pub const DEAD_LETTERED: &str = "task_dead_lettered_total";
/// Jobs by kind and state, as the ledger has them.
pub const IN_STATE: &str = "tasks_in_state";
/// How long the oldest due job of a kind has waited, in seconds.
pub const OLDEST_PENDING_AGE: &str = "task_oldest_pending_age_seconds";
/// Jobs taken from silent workers.
pub const CRASHES: &str = "task_crashes_total";

/// The label with the kind.
pub const TASK_TYPE: &str = "task_type";
/// The label with how an attempt ended: ok, error, timeout, cancelled.
pub const OUTCOME: &str = "outcome";
/// The label with the state.
pub const STATE: &str = "state";
