//! What a job is: a plain struct with constants and a `run`.

use std::future::Future;
use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use crate::error::Error;
use crate::run::Run;

/// The lowest priority.
pub const PRIORITY_MIN: u8 = 1;
/// What a job has unless someone says otherwise.
pub const PRIORITY_DEFAULT: u8 = 5;
/// The highest priority.
pub const PRIORITY_MAX: u8 = 10;

/// One kind of work. The value is the payload: it is stored as JSON and read back by whichever
/// worker claims it, so fields are only ever added, with `#[serde(default)]`.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// `area.verb`, such as `ingestion.fetch`.
    const KIND: &'static str;
    /// How long and how many at once.
    const LIMITS: Limits = Limits::STANDARD;
    /// What happens after a transient error.
    const RETRY: RetryPolicy = RetryPolicy::STANDARD;
    /// What the kind needs to run: pools, clients, configuration.
    type Context: Clone + Send + Sync + 'static;

    /// Does the work. It may run more than once, and twice at a time when a lease was lost, so
    /// effects go through [`Run::complete`] or are idempotent by themselves.
    ///
    /// # Errors
    /// The error's class decides what happens next; see [`Error`].
    fn run(
        self,
        context: Self::Context,
        run: Run,
    ) -> impl Future<Output = Result<Outcome, Error>> + Send;
}

/// The bounds of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// One attempt is ended after this without progress, in milliseconds: work that reports more
    /// done, or moves its cursor, may go on until the job expires.
    pub run_ms: u64,
    /// [`Run::should_yield`] says so after this, in milliseconds.
    pub slice_ms: u64,
    /// Jobs of the kind that one worker runs at once. With two or more, the last one free is kept
    /// for priority 8 and above.
    pub concurrency: u32,
    /// A job that is not done this long after it was enqueued is dead, in seconds.
    pub expires_s: u64,
}

impl Limits {
    /// Five minutes, slices of 20 s, four at once, a week.
    pub const STANDARD: Self =
        Self { run_ms: 300_000, slice_ms: 20_000, concurrency: 4, expires_s: 7 * 24 * 3600 };
}

/// What happens after a transient error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The delay after the first failure, in milliseconds; it doubles with each.
    pub first_ms: u64,
    /// The longest delay, in milliseconds, before jitter.
    pub cap_ms: u64,
    /// After this many failures the job is dead.
    pub attempts_max: u32,
}

impl RetryPolicy {
    /// 1 s, 2 s, 4 s, 8 s … up to 10 min; 8 attempts.
    pub const STANDARD: Self = Self { first_ms: 1_000, cap_ms: 600_000, attempts_max: 8 };
}

/// How a run ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The work is done; the worker says so in the ledger.
    Done,
    /// The work is done and [`Run::complete`] said so in the transaction of its effects.
    Completed,
    /// The time slice is over: run again as soon as a slot is free. No attempt is counted, but the
    /// slice must have made progress: moved the cursor or reported more done.
    Yield,
    /// Nothing can be done before this long: run again then. No attempt is counted.
    Later(Duration),
}
