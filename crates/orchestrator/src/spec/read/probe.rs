//! The probes of a service, and lengths of time.

use std::{ops::RangeInclusive, time::Duration};

use proto::orchestrator::v1::{self, probe::Kind};

use super::argument;
use crate::spec::{
    Check, Probe, Probes,
    defaults::{self, DEADLINES, PERIODS, Purpose, TIMEOUTS, TURNS},
    fault::At,
};

/// Where Postgres listens.
const POSTGRES_PORT: u32 = 5_432;
/// Where Redis listens.
const REDIS_PORT: u32 = 6_379;
/// Of a probe's command, in bytes.
const COMMAND_BYTES_MAX: usize = 8 * 1024;

/// A start is bounded wherever it can be seen: without a startup probe the readiness check gates it.
pub(super) fn read(wire: v1::Probes, at: &mut At<'_>) -> Probes {
    let readiness = probe(wire.readiness, Purpose::Readiness, at.field("readiness"));
    let startup = probe(wire.startup, Purpose::Startup, at.field("startup"));
    Probes {
        startup: startup.or_else(|| readiness.as_ref().map(starting)),
        liveness: probe(wire.liveness, Purpose::Liveness, at.field("liveness")),
        readiness,
    }
}

/// The startup probe that follows from a readiness probe.
fn starting(readiness: &Probe) -> Probe {
    let pace = defaults::pace(Purpose::Startup, &readiness.check);
    Probe {
        check: readiness.check.clone(),
        period: pace.period,
        timeout: pace.timeout.max(readiness.timeout),
        failures: pace.failures,
        successes: pace.successes,
        deadline: pace.deadline,
    }
}

fn probe(wire: Option<v1::Probe>, purpose: Purpose, mut at: At<'_>) -> Option<Probe> {
    let wire = wire?;
    let Some(kind) = wire.kind else {
        at.fault("must be one of exec, http, tcp, postgres, redis");
        return None;
    };
    let check = check(kind, &mut at);
    let pace = defaults::pace(purpose, &check);
    let deadline = match purpose {
        Purpose::Startup => duration(wire.deadline, pace.deadline, DEADLINES, at.field("deadline")),
        _ => {
            at.field("deadline").check(wire.deadline.is_none(), || {
                "must be absent: only a startup probe has one".to_owned()
            });
            pace.deadline
        }
    };
    Some(Probe {
        check,
        period: duration(wire.period, pace.period, PERIODS, at.field("period")),
        timeout: duration(wire.timeout, pace.timeout, TIMEOUTS, at.field("timeout")),
        failures: turns(wire.failures, pace.failures, at.field("failures")),
        successes: turns(wire.successes, pace.successes, at.field("successes")),
        deadline,
    })
}

fn check(kind: Kind, at: &mut At<'_>) -> Check {
    match kind {
        Kind::Exec(exec) => {
            let bytes: usize = exec.command.iter().map(String::len).sum();
            at.field("exec")
                .field("command")
                .check((1..=COMMAND_BYTES_MAX).contains(&bytes), || {
                    format!("must be a command of at most {COMMAND_BYTES_MAX} bytes")
                });
            argument::check(&exec.command, &mut at.field("exec").field("command"));
            Check::Exec(exec.command)
        }
        Kind::Http(http) => Check::Http {
            port: port(http.port, 0, at.field("http").field("port")),
            status: status(http.status, at.field("http").field("status")),
            path: path(http.path, at.field("http").field("path")),
        },
        Kind::Tcp(tcp) => Check::Tcp(port(tcp.port, 0, at.field("tcp").field("port"))),
        Kind::Postgres(postgres) => {
            Check::Postgres(port(postgres.port, POSTGRES_PORT, at.field("postgres").field("port")))
        }
        Kind::Redis(redis) => {
            Check::Redis(port(redis.port, REDIS_PORT, at.field("redis").field("port")))
        }
    }
}

/// 0 means the default; a default of 0 means that there is none.
fn port(number: u32, default: u32, mut at: At<'_>) -> u16 {
    let number = if number == 0 { default } else { number };
    u16::try_from(number).ok().filter(|port| *port > 0).unwrap_or_else(|| {
        at.fault(format!("must be a port, 1 to 65535, not {number}"));
        1
    })
}

fn status(number: u32, mut at: At<'_>) -> Option<u16> {
    at.check(number == 0 || (100..=599).contains(&number), || {
        format!("must be a status of HTTP, 100 to 599, not {number}")
    });
    u16::try_from(number).ok().filter(|status| *status > 0)
}

fn path(path: String, mut at: At<'_>) -> String {
    if path.is_empty() {
        return "/".to_owned();
    }
    at.check(path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()), || {
        format!("must be a path such as /health, not {path:?}")
    });
    path
}

fn turns(count: u32, default: u32, mut at: At<'_>) -> u32 {
    let count = if count == 0 { default } else { count };
    at.check(TURNS.contains(&count), || {
        format!("must be {} to {}, not {count}", TURNS.start(), TURNS.end())
    });
    count
}

/// A length of time within bounds.
pub(super) fn duration(
    wire: Option<prost_types::Duration>,
    default: Duration,
    bounds: RangeInclusive<Duration>,
    mut at: At<'_>,
) -> Duration {
    let Some(wire) = wire else { return default };
    Duration::try_from(wire).ok().filter(|length| bounds.contains(length)).unwrap_or_else(|| {
        at.fault(format!(
            "must be {} to {} s",
            bounds.start().as_secs_f32(),
            bounds.end().as_secs()
        ));
        default
    })
}
