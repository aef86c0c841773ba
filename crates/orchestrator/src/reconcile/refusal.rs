//! What a step that did not succeed means.

use std::fmt;

use crate::docker::Error;
use crate::plan::Step;
use crate::reason::{Diagnosis, Reason};

/// A step that did not succeed.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) step: Step,
    pub(super) diagnosis: Diagnosis,
    /// The daemon itself is the trouble: nobody is charged.
    pub(super) transport: bool,
}

/// Why a step did not succeed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The Engine's part of it.
    Engine(Error),
    /// Ours.
    Own(Diagnosis),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

impl From<Diagnosis> for Fault {
    fn from(diagnosis: Diagnosis) -> Self {
        Self::Own(diagnosis)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(error) => error.fmt(f),
            Self::Own(diagnosis) => f.write_str(&diagnosis.message),
        }
    }
}

impl Refusal {
    /// `told` is what the log says of it.
    pub(super) fn new(step: &Step, fault: &Fault, told: String) -> Self {
        match fault {
            Fault::Engine(error) => Self::of_engine(step, error, told),
            Fault::Own(diagnosis) => {
                let diagnosis = Diagnosis { message: told, ..diagnosis.clone() };
                Self { step: step.clone(), diagnosis, transport: false }
            }
        }
    }

    fn of_engine(step: &Step, error: &Error, message: String) -> Self {
        let reason = match error {
            // The network went while its container was started; it comes back by itself.
            Error::Refused { status: 404, message, .. } if message.contains("network") => {
                Reason::DaemonFailed
            }
            Error::Refused { status, message, .. } => Reason::of_refusal(*status, message),
            Error::TooOld { .. } => Reason::DaemonTooOld,
            Error::Malformed { .. } => Reason::DaemonFailed,
            Error::Unreachable { .. } | Error::Timeout { .. } | Error::Open { .. } => {
                Reason::DaemonUnreachable
            }
        };
        let diagnosis = Diagnosis::new(reason, message);
        Self { step: step.clone(), diagnosis, transport: error.is_transport() }
    }
}
