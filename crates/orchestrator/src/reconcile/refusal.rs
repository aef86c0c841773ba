//! What a step that did not succeed means.

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

impl Refusal {
    pub(super) fn new(step: &Step, error: &Error) -> Self {
        let message = format!("{step}: {error}");
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
