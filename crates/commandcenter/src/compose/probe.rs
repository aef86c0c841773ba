//! How the health of a service is known: `healthcheck`, and the probes of `x-commandcenter`.

use std::time::Duration;

use proto::orchestrator::v1::{self, probe::Kind};

use super::{field::Field, key, report::Report, units};

/// Of a `healthcheck` that names none, as in Docker.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Of a `healthcheck` that names none, as in Docker.
const RETRIES: u32 = 3;
/// From one check to the next when none is named, for the deadline of the start.
const INTERVAL: Duration = Duration::from_secs(5);
/// For a start, unless `start_period` says more.
const DEADLINES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));
/// Where keys of a `healthcheck` are found in a spec.
const FIELDS: [(&str, &str); 8] = [
    ("test", "readiness.exec"),
    ("interval", "readiness.period"),
    ("timeout", "readiness.timeout"),
    ("retries", "readiness.failures"),
    ("test", "startup.exec"),
    ("start_interval", "startup.period"),
    ("timeout", "startup.timeout"),
    ("start_period", "startup.deadline"),
];

/// A `healthcheck` is a readiness probe that runs a command. With `start_period` it also bounds the
/// start: that long, and then as many failures as it takes.
pub(super) fn healthcheck(
    spec: &str,
    field: &Field<'_>,
    report: &mut Report,
) -> Option<v1::Probes> {
    key::check(field, key::HEALTHCHECK, report);
    for (key, own) in FIELDS {
        if let Some(value) = field.get(key) {
            report.origin(format!("{spec}.{own}"), &value);
        }
    }
    let command = command(field, report)?;
    let mut time = |key: &str| field.get(key).and_then(|value| value.read(report, units::duration));
    let (interval, timeout) = (time("interval"), time("timeout"));
    let (start_period, start_interval) = (time("start_period"), time("start_interval"));
    let retries = field.get("retries").and_then(|value| value.positive(report));
    let readiness = v1::Probe {
        kind: Some(Kind::Exec(v1::ExecProbe { command })),
        period: interval.map(wire),
        timeout: Some(wire(timeout.unwrap_or(TIMEOUT))),
        failures: retries.unwrap_or(RETRIES),
        ..Default::default()
    };
    let startup = start_period.filter(|period| !period.is_zero()).map(|period| {
        let failing = interval.unwrap_or(INTERVAL).saturating_mul(retries.unwrap_or(RETRIES));
        let (least, most) = DEADLINES;
        let deadline = period.saturating_add(failing).clamp(least, most.max(period));
        v1::Probe {
            kind: readiness.kind.clone(),
            period: start_interval.map(wire),
            timeout: readiness.timeout,
            deadline: Some(wire(deadline)),
            ..Default::default()
        }
    });
    Some(v1::Probes { startup, readiness: Some(readiness), liveness: None })
}

/// None when the check is switched off or wrong.
fn command(field: &Field<'_>, report: &mut Report) -> Option<Vec<String>> {
    if field.get("disable").is_some_and(|it| it.flag(report)) {
        return None;
    }
    let shell = |script: &str| vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()];
    let Some(test) = field.get("test") else {
        report.fault(field, "needs `test`: the check of an image is not known here");
        return None;
    };
    if let Some(script) = test.as_text() {
        return Some(shell(script));
    }
    let words = test.texts(report);
    match words.split_first() {
        Some((first, [])) if first == "NONE" => None,
        Some((first, rest)) if first == "CMD" && !rest.is_empty() => Some(rest.to_vec()),
        Some((first, [script])) if first == "CMD-SHELL" => Some(shell(script)),
        _ => {
            report
                .fault(&test, "must be a text, or a list that begins with CMD, CMD-SHELL or NONE");
            None
        }
    }
}

/// The probes of `x-commandcenter`.
pub(super) fn probes(field: &Field<'_>, report: &mut Report) -> v1::Probes {
    key::check(field, key::PROBES, report);
    let mut read = |key: &str| field.get(key).and_then(|it| probe(&it, report));
    v1::Probes {
        startup: read("startup"),
        readiness: read("readiness"),
        liveness: read("liveness"),
    }
}

fn probe(field: &Field<'_>, report: &mut Report) -> Option<v1::Probe> {
    key::check(field, key::PROBE, report);
    let kinds: Vec<(String, Field<'_>)> = field
        .entries(report)
        .into_iter()
        .map(|(entry, value)| (entry.key.clone(), value))
        .filter(|(key, _)| key::PROBE_KINDS.contains(&key.as_str()))
        .collect();
    let [(name, value)] = kinds.as_slice() else {
        report.fault(field, "must have one of exec, http, tcp, postgres, redis");
        return None;
    };
    let kind = kind(name, value, report)?;
    let mut time =
        |key: &str| field.get(key).and_then(|value| value.read(report, units::duration)).map(wire);
    let (period, timeout, deadline) = (time("period"), time("timeout"), time("deadline"));
    let mut count =
        |key: &str| field.get(key).and_then(|value| value.positive(report)).unwrap_or_default();
    let (failures, successes) = (count("failures"), count("successes"));
    Some(v1::Probe { kind: Some(kind), period, timeout, failures, successes, deadline })
}

fn kind(name: &str, field: &Field<'_>, report: &mut Report) -> Option<Kind> {
    Some(match name {
        "exec" => Kind::Exec(v1::ExecProbe {
            command: match field.as_text() {
                Some(text) => super::service::words(field, text, report)?,
                None => field.texts(report),
            },
        }),
        "http" => {
            key::check(field, key::PROBE_HTTP, report);
            let mut number =
                |key: &str| field.get(key).and_then(|it| it.number(report)).unwrap_or_default();
            let (port, status) = (number("port"), number("status"));
            let path = field.get("path").map(|it| it.text(report)).unwrap_or_default();
            Kind::Http(v1::HttpProbe { port, path, status })
        }
        "tcp" => Kind::Tcp(v1::TcpProbe { port: port(field, report) }),
        "postgres" => Kind::Postgres(v1::PostgresProbe { port: port(field, report) }),
        _ => Kind::Redis(v1::RedisProbe { port: port(field, report) }),
    })
}

/// `{port: 5432}`, or nothing for the usual one.
fn port(field: &Field<'_>, report: &mut Report) -> u32 {
    key::check(field, key::PROBE_PORT, report);
    field.get("port").and_then(|it| it.number(report)).unwrap_or_default()
}

/// A length of time on the wire.
pub(super) fn wire(length: Duration) -> prost_types::Duration {
    // Whatever is too long for the wire is also too long for the server, which says so.
    let longest = prost_types::Duration { seconds: i64::MAX, nanos: 0 };
    length.try_into().unwrap_or(longest)
}
