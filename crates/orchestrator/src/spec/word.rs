//! The closed sets of a spec and their words on the wire, in one table each for both directions.

use super::{Condition, Protocol, RestartPolicy, ScanPolicy, Severity, fault::At};

/// Words and what they mean.
pub(super) type Words<T> = &'static [(&'static str, T)];

pub(super) const PROTOCOLS: Words<Protocol> = &[("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];

pub(super) const CONDITIONS: Words<Condition> = &[
    ("started", Condition::Started),
    ("healthy", Condition::Healthy),
    ("completed", Condition::Completed),
];

/// Whether a dependency's restart restarts the service too.
pub(super) const ON_RESTART: Words<bool> = &[("none", false), ("restart", true)];

pub(super) const RESTART_POLICIES: Words<RestartPolicy> = &[
    ("always", RestartPolicy::Always),
    ("on-failure", RestartPolicy::OnFailure),
    ("never", RestartPolicy::Never),
];

pub(super) const SCAN_POLICIES: Words<ScanPolicy> =
    &[("off", ScanPolicy::Off), ("warn", ScanPolicy::Warn), ("block", ScanPolicy::Block)];

pub(super) const SEVERITIES: Words<Severity> = &[
    ("low", Severity::Low),
    ("medium", Severity::Medium),
    ("high", Severity::High),
    ("critical", Severity::Critical),
];

/// What a word means; no word means the default.
pub(super) fn read<T: Copy>(mut at: At<'_>, text: &str, default: T, words: Words<T>) -> T {
    if text.is_empty() {
        return default;
    }
    match words.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => *value,
        None => {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            at.fault(format!("must be one of {}, not {text:?}", all.join(", ")));
            default
        }
    }
}

/// The word for a value.
pub(super) fn write<T: PartialEq>(value: &T, words: Words<T>) -> String {
    let word = words.iter().find(|(_, meaning)| meaning == value);
    word.map(|(word, _)| (*word).to_owned()).unwrap_or_default()
}
