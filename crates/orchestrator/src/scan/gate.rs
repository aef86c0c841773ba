//! What a service's policy makes of a verdict. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Found, Scanned, Word};
use crate::reason::{Diagnosis, Reason};
use crate::spec::{Scan, ScanPolicy, Severity};

/// What decides.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// The service's own.
    pub scan: Scan,
    /// A database that is older makes a verdict stale.
    pub database_age_max: TimeDelta,
}

/// Whether a service may be started, as far as its image is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// It may.
    Open,
    /// It may, and its owner should know this.
    Told(Diagnosis),
    /// It may not yet: the verdict is being found.
    Waiting(Diagnosis),
    /// It may not.
    Closed(Diagnosis),
}

impl Gate {
    /// Whether the service must not be started now.
    #[must_use]
    pub fn holds(&self) -> bool {
        matches!(self, Self::Waiting(_) | Self::Closed(_))
    }

    /// What there is to say; `None`: nothing.
    #[must_use]
    pub fn diagnosis(&self) -> Option<&Diagnosis> {
        match self {
            Self::Open => None,
            Self::Told(it) | Self::Waiting(it) | Self::Closed(it) => Some(it),
        }
    }
}

/// Decides from the last verdict, if there is one.
#[must_use]
pub fn decide(policy: Policy, scanned: Option<&Scanned>, now: DateTime<Utc>) -> Gate {
    let blocks = match policy.scan.policy {
        ScanPolicy::Off => return Gate::Open,
        ScanPolicy::Warn => false,
        ScanPolicy::Block => true,
    };
    let current = scanned.filter(|it| it.result.is_err() || !it.is_expired(now));
    let Some(scanned) = current else {
        let told = Diagnosis::new(Reason::ScanPending, "its image is being scanned");
        // Whoever is only warned waits for nothing, and a verdict that is not there says nothing.
        return if blocks { Gate::Waiting(told) } else { Gate::Open };
    };
    let severity = policy.scan.severity;
    let word = scanned.word(severity, now, policy.database_age_max);
    let (warning, message) = match (word, &scanned.result) {
        (Word::Clean, _) => return Gate::Open,
        (Word::Findings, Ok(found)) => (Reason::ScanFindings, findings(found, severity)),
        (_, Ok(found)) => (Reason::ScanUnproven, stale(found)),
        (_, Err(why)) => (Reason::ScanUnproven, format!("its image was not scanned: {why}")),
    };
    if blocks {
        let hint = if warning == Reason::ScanFindings { Reason::ScanBlocked } else { warning };
        let hint = hint.hint().to_owned();
        let message = format!("{message}; its scan policy is block");
        Gate::Closed(Diagnosis { reason: Reason::ScanBlocked, message, hint })
    } else {
        Gate::Told(Diagnosis::new(warning, message))
    }
}

fn findings(found: &Found, severity: Severity) -> String {
    let counts = found.counts;
    let by_severity = [
        (counts.critical, "critical", Severity::Critical),
        (counts.high, "high", Severity::High),
        (counts.medium, "medium", Severity::Medium),
        (counts.low, "low", Severity::Low),
    ];
    let counted: Vec<String> = by_severity
        .iter()
        .filter(|it| it.0 > 0 && it.2 >= severity)
        .map(|(count, name, _)| format!("{count} {name}"))
        .collect();
    let (total, fixable) = (counts.at_least(severity), counts.fixable);
    format!(
        "its image has {total} known vulnerabilities that count ({}); a new version mends \
         {fixable} of all that were found",
        counted.join(", ")
    )
}

fn stale(found: &Found) -> String {
    let at = found.database_updated_at.format("%Y-%m-%d");
    format!("nothing that counts was found in its image, but in a database of {at}, which is old")
}

#[cfg(test)]
mod tests {
    use super::super::{Counts, KEPT};
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
    }

    fn scanned(counts: Counts, scanned_ago: TimeDelta, database_ago: TimeDelta) -> Scanned {
        let database_updated_at = now() - database_ago;
        let found = Found { counts, database_updated_at, note: String::new() };
        Scanned { image: "sha256:1".to_owned(), at: now() - scanned_ago, result: Ok(found) }
    }

    fn broken() -> Scanned {
        let result = Err("there is no program trivy".to_owned());
        Scanned { image: "sha256:1".to_owned(), at: now(), result }
    }

    /// The gate as a word, and the reason that it gives.
    fn check(
        policy: ScanPolicy,
        severity: Severity,
        scanned: Option<&Scanned>,
        expected: (&str, Option<Reason>),
    ) {
        let scan = Scan { policy, severity };
        let gate = decide(Policy { scan, database_age_max: TimeDelta::days(7) }, scanned, now());
        let word = match gate {
            Gate::Open => "open",
            Gate::Told(_) => "told",
            Gate::Waiting(_) => "waiting",
            Gate::Closed(_) => "closed",
        };
        let reason = gate.diagnosis().map(|it| it.reason);
        assert_eq!((word, reason), expected, "{policy:?} {severity:?} {scanned:?}");
    }

    #[test]
    fn nothing_passes_block_without_a_fresh_clean_verdict() {
        use Severity::{Critical, High, Low};
        let block = ScanPolicy::Block;
        let (hour, day) = (TimeDelta::hours(1), TimeDelta::days(1));
        let clean = scanned(Counts::default(), hour, hour);
        check(block, Low, Some(&clean), ("open", None));
        check(block, Low, None, ("waiting", Some(Reason::ScanPending)));
        let expired = scanned(Counts::default(), KEPT, hour);
        check(block, Low, Some(&expired), ("waiting", Some(Reason::ScanPending)));
        let blocked = ("closed", Some(Reason::ScanBlocked));
        check(block, Low, Some(&broken()), blocked);
        check(block, Low, Some(&scanned(Counts::default(), hour, day * 8)), blocked);
        check(block, Low, Some(&scanned(Counts::default(), hour, day * -2)), blocked);
        let high = scanned(Counts { high: 2, ..Counts::default() }, hour, hour);
        check(block, High, Some(&high), blocked);
        check(block, Low, Some(&high), blocked);
        check(block, Critical, Some(&high), ("open", None));
        // What was found in an old database is still there.
        let both = scanned(Counts { high: 2, ..Counts::default() }, hour, day * 30);
        check(block, High, Some(&both), blocked);
        check(block, Critical, Some(&both), blocked);
    }

    #[test]
    fn warn_starts_and_tells_and_off_says_nothing() {
        use Severity::{Critical, Low};
        let hour = TimeDelta::hours(1);
        let low = scanned(Counts { low: 1, ..Counts::default() }, hour, hour);
        let stale = scanned(Counts::default(), hour, TimeDelta::days(8));
        let warn = ScanPolicy::Warn;
        check(warn, Low, Some(&low), ("told", Some(Reason::ScanFindings)));
        check(warn, Critical, Some(&low), ("open", None));
        check(warn, Critical, Some(&stale), ("told", Some(Reason::ScanUnproven)));
        check(warn, Critical, Some(&broken()), ("told", Some(Reason::ScanUnproven)));
        check(warn, Critical, None, ("open", None));
        for scanned in [&low, &stale, &broken()] {
            check(ScanPolicy::Off, Low, Some(scanned), ("open", None));
        }
    }

    #[test]
    fn a_refusal_counts_what_was_found_and_says_what_to_do() {
        let counts = Counts { critical: 2, high: 1, low: 7, fixable: 3, ..Counts::default() };
        let scan = Scan { policy: ScanPolicy::Block, severity: Severity::High };
        let policy = Policy { scan, database_age_max: TimeDelta::days(7) };
        let it = scanned(counts, TimeDelta::zero(), TimeDelta::zero());
        let gate = decide(policy, Some(&it), now());
        let told = gate.diagnosis().expect("it is closed");
        assert!(told.message.contains("3 known vulnerabilities"), "{}", told.message);
        assert!(told.message.contains("(2 critical, 1 high)"), "{}", told.message);
        assert!(told.hint.contains("rebuild the image"), "{}", told.hint);
        let gate = decide(policy, Some(&broken()), now());
        let told = gate.diagnosis().expect("it is closed");
        assert!(told.message.contains("no program trivy") && told.hint.contains("Trivy"));
    }
}
