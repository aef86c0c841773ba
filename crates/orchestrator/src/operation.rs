//! Long actions on a stack: what kinds there are, and when one has ended. Pure.

use crate::health::{Health, ServiceHealth};
use crate::observed::{Container, Observed};
use crate::reason::Diagnosis;
use crate::status::Status;

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
