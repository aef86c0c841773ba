//! Long actions on a stack: what kinds there are, and when one has ended. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use crate::health::{Health, ServiceHealth};
use crate::observed::{Container, Observed};
use crate::reason::{Diagnosis, Reason};
use crate::status::Status;

/// An operation that does not end is ended.
const LASTS_MAX: TimeDelta = TimeDelta::minutes(30);

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Apply,
    Start,
    Stop,
    Restart,
    Remove,
    RestartService,
}

impl Kind {
    /// Reads the text form; what is unknown is an apply, whose end is the strictest.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "start" => Self::Start,
            "stop" => Self::Stop,
            "restart" => Self::Restart,
            "remove" => Self::Remove,
            "restart_service" => Self::RestartService,
            _ => Self::Apply,
        }
    }
}

/// An operation to begin.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    /// What was asked.
    pub kind: Kind,
    /// Of `RestartService` only.
    pub service: &'a str,
    /// Who asked.
    pub actor: &'a str,
}

/// How one thing that was done went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum StepState {
    Done,
    Failed,
    Waiting,
}

impl StepState {
    /// The text form in the table and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Waiting => "waiting",
        }
    }
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The stack is as it was asked to be.
    Succeeded,
    /// It is not, and does not get there by itself.
    Failed {
        /// A stable code.
        reason: String,
        /// What happened, to what, and why.
        message: String,
        /// What to do about it.
        hint: String,
    },
}

/// Whether an operation has ended; `None`: it goes on. Nothing must be left to do.
#[must_use]
pub fn outcome(kind: Kind, service: &str, health: &Health, observed: &Observed) -> Option<Outcome> {
    match kind {
        Kind::Stop => {
            let up = observed.containers.iter().any(Container::is_up);
            (!up).then_some(Outcome::Succeeded)
        }
        Kind::Remove => {
            let empty = observed.containers.is_empty() && observed.networks.is_empty();
            empty.then_some(Outcome::Succeeded)
        }
        Kind::Apply | Kind::Start | Kind::Restart => judge(health.services.iter()),
        Kind::RestartService => judge(health.services.iter().filter(|it| it.name == service)),
    }
}

/// How an operation ends that is worked on since `since` and does not come to an end; `told` is
/// what is in its way.
#[must_use]
pub fn overdue(since: DateTime<Utc>, now: DateTime<Utc>, told: &str) -> Option<Outcome> {
    (now - since > LASTS_MAX).then(|| Outcome::Failed {
        reason: Reason::StartTimeout.code().to_owned(),
        message: format!("not done within {} minutes; {told}", LASTS_MAX.num_minutes()),
        hint: "look at the service that it waits for".to_owned(),
    })
}

fn judge<'a>(services: impl Iterator<Item = &'a ServiceHealth> + Clone) -> Option<Outcome> {
    if let Some(failed) = services.clone().find(|it| it.status == Status::Failed) {
        return Some(failure(&failed.name, failed.diagnosis.as_ref()));
    }
    let mut services = services;
    services.all(|it| it.status == Status::Ready).then_some(Outcome::Succeeded)
}

fn failure(service: &str, diagnosis: Option<&Diagnosis>) -> Outcome {
    let (reason, message, hint) = match diagnosis {
        Some(it) => (it.reason.code().to_owned(), it.message.clone(), it.hint.clone()),
        None => (String::new(), "it has failed".to_owned(), String::new()),
    };
    Outcome::Failed { reason, message: format!("{service}: {message}"), hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_ends_after_half_an_hour_with_what_is_in_its_way() {
        let since = DateTime::UNIX_EPOCH;
        assert_eq!(overdue(since, since + LASTS_MAX, "the disk is full"), None);
        let late = overdue(since, since + LASTS_MAX + TimeDelta::seconds(1), "the disk is full");
        let Some(Outcome::Failed { reason, message, .. }) = late else { panic!("{late:?}") };
        assert_eq!(reason, "START_TIMEOUT");
        assert_eq!(message, "not done within 30 minutes; the disk is full");
    }
}
