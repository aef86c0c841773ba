//! What a service gets that does not say otherwise, and how much of each it may ask for.

use std::{ops::RangeInclusive, time::Duration};

use super::{Check, Resources, Restart, RestartPolicy, Scan, ScanPolicy, Severity};

const MIB: u64 = 1024 * 1024;

/// Limits of a service that names none.
pub(super) const RESOURCES: Resources =
    Resources { cpu_millis: 1_000, memory_bytes: 512 * MIB, pids: 256, shm_bytes: 64 * MIB };

/// From a hundredth of a CPU to more than any host has.
pub(super) const CPU_MILLIS: RangeInclusive<u32> = 10..=1_024_000;
/// The Engine refuses less than 6 MiB.
pub(super) const MEMORY_BYTES: RangeInclusive<u64> = 6 * MIB..=1 << 44;
/// A service needs a few threads; more than 32,768 are a fork bomb.
pub(super) const PIDS: RangeInclusive<u32> = 2..=32_768;

/// Of a tmpfs that names none, in bytes.
pub(super) const TMPFS_BYTES: u64 = 64 * MIB;

/// Only the service's user reads its secrets.
pub(super) const SECRET_MODE: u32 = 0o400;
/// A config is no secret.
pub(super) const CONFIG_MODE: u32 = 0o444;

/// Asked to end, and then killed.
pub(super) const STOP_SIGNAL: &str = "SIGTERM";
/// Until `SIGKILL`.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(10);
/// A database may need minutes to write its pages.
pub(super) const STOP_GRACES: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(600);

/// Restarts within ten minutes before a service is left failed.
pub(super) const ATTEMPTS: u32 = 8;
/// More would never be reached within ten minutes.
pub(super) const ATTEMPTS_MAX: u32 = 100;

/// A finding is shown, and stops nothing.
pub(super) const SCAN: Scan = Scan { policy: ScanPolicy::Warn, severity: Severity::Critical };

/// A service heals itself; one that ends by design runs once.
pub(super) fn restart(one_shot: bool) -> Restart {
    let policy = if one_shot { RestartPolicy::Never } else { RestartPolicy::Always };
    Restart { policy, attempts: ATTEMPTS }
}

/// Which of the three questions a probe asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Startup,
    Readiness,
    Liveness,
}

/// Times and counts of a probe that names none.
pub(super) struct Pace {
    pub(super) period: Duration,
    pub(super) timeout: Duration,
    pub(super) failures: u32,
    pub(super) successes: u32,
    pub(super) deadline: Duration,
}

/// From one answer to the next question.
pub(super) const PERIODS: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(3_600);
/// For one answer.
pub(super) const TIMEOUTS: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(120);
/// For a start.
pub(super) const DEADLINES: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(3_600);
/// Answers in a row that turn a verdict.
pub(super) const TURNS: RangeInclusive<u32> = 1..=1_000;

/// The pace for a purpose and a kind of check.
pub(super) fn pace(purpose: Purpose, check: &Check) -> Pace {
    let (period, timeout, failures) = match purpose {
        Purpose::Startup => (2, 2, 1),
        Purpose::Readiness => (5, 2, 2),
        Purpose::Liveness => (10, 3, 3),
    };
    let deadline = match (purpose, check) {
        (Purpose::Startup, Check::Postgres(_)) => 60,
        (Purpose::Startup, Check::Redis(_)) => 20,
        (Purpose::Startup, _) => 120,
        _ => 0,
    };
    // The server that initialises a new database answers once, and then restarts.
    let successes = match (purpose, check) {
        (Purpose::Startup, Check::Postgres(_)) => 2,
        _ => 1,
    };
    Pace {
        period: Duration::from_secs(period),
        timeout: Duration::from_secs(timeout),
        failures,
        successes,
        deadline: Duration::from_secs(deadline),
    }
}
