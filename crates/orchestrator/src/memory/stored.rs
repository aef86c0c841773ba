//! How what is remembered is written down. Fields may be added; one that is missing is as at the
//! beginning.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Memory, Remembered};
use crate::plan;
use crate::reason::{self, Reason};
use crate::restart::History;

/// What is remembered of a project's services.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Stored {
    wished_at: Option<DateTime<Utc>>,
    services: BTreeMap<String, Service>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Service {
    ends: u32,
    same: u32,
    reason: Option<String>,
    looping: bool,
    restarted_at: Vec<DateTime<Utc>>,
    failed: bool,
    diagnosis: Option<Diagnosis>,
    restarts: u32,
    may_start: Option<MayStart>,
    left: bool,
    judged: Option<super::Ending>,
    stopped: Option<(String, Option<Diagnosis>)>,
    restart_after: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Diagnosis {
    reason: String,
    message: String,
    hint: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MayStart {
    Now,
    At(DateTime<Utc>),
    Never,
}

impl From<&Memory> for Stored {
    fn from(memory: &Memory) -> Self {
        let services = memory.services.iter().map(|(name, it)| (name.clone(), Service::from(it)));
        Self { wished_at: memory.wished_at, services: services.collect() }
    }
}

impl From<Stored> for Memory {
    fn from(stored: Stored) -> Self {
        let services = stored.services.into_iter().map(|(name, it)| (name, it.into()));
        Self { services: services.collect(), wished_at: stored.wished_at, ..Self::default() }
    }
}

impl From<&Remembered> for Service {
    fn from(it: &Remembered) -> Self {
        let stopped = it.stopped.as_ref();
        Self {
            ends: it.history.ends,
            same: it.history.same,
            reason: it.history.reason.map(|it| it.code().to_owned()),
            looping: it.history.failed,
            restarted_at: it.history.restarts.clone(),
            failed: it.failed,
            diagnosis: it.diagnosis.as_ref().map(Diagnosis::from),
            restarts: it.restarts,
            may_start: it.may_start.map(|it| match it {
                plan::MayStart::Now => MayStart::Now,
                plan::MayStart::At(at) => MayStart::At(at),
                plan::MayStart::Never => MayStart::Never,
            }),
            left: it.left,
            judged: it.judged.clone(),
            stopped: stopped.map(|(id, why)| (id.clone(), why.as_ref().map(Diagnosis::from))),
            restart_after: it.restart_after,
        }
    }
}

impl From<Service> for Remembered {
    fn from(it: Service) -> Self {
        let stopped = it.stopped;
        Self {
            history: History {
                ends: it.ends,
                same: it.same,
                reason: it.reason.as_deref().and_then(Reason::from_code),
                failed: it.looping,
                restarts: it.restarted_at,
            },
            failed: it.failed,
            diagnosis: it.diagnosis.and_then(Diagnosis::read),
            restarts: it.restarts,
            may_start: it.may_start.map(|it| match it {
                MayStart::Now => plan::MayStart::Now,
                MayStart::At(at) => plan::MayStart::At(at),
                MayStart::Never => plan::MayStart::Never,
            }),
            left: it.left,
            judged: it.judged,
            stopped: stopped.map(|(id, why)| (id, why.and_then(Diagnosis::read))),
            restart_after: it.restart_after,
            ..Self::default()
        }
    }
}

impl From<&reason::Diagnosis> for Diagnosis {
    fn from(it: &reason::Diagnosis) -> Self {
        let reason = it.reason.code().to_owned();
        Self { reason, message: it.message.clone(), hint: it.hint.clone() }
    }
}

impl Diagnosis {
    /// `None` for a reason that this version does not know.
    fn read(self) -> Option<reason::Diagnosis> {
        let reason = Reason::from_code(&self.reason)?;
        Some(reason::Diagnosis { reason, message: self.message, hint: self.hint })
    }
}
