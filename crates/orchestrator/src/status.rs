//! How a service and a stack do, in one word and a reason. Pure.
//!
//! A word is never better than what is known: a process that runs is not ready, a daemon that does
//! not answer makes the status unknown and not failed, and a stack is as its worst service.

use crate::reason::{Diagnosis, Reason};

/// How a service or a stack does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// It does its work, or has done it.
    Ready,
    /// On its way, without trouble so far.
    Starting,
    /// It is there and does not do all of its work now.
    Degraded,
    /// It does not get there by itself, or only seldom tries to.
    Failed,
    /// As its owner wishes, or by its own end.
    Stopped,
    /// Nobody can say.
    Unknown,
}

impl Status {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
        }
    }

    /// Worse is higher, for a stack that shall run.
    fn rank(self) -> u8 {
        match self {
            Self::Ready => 0,
            Self::Starting => 1,
            Self::Stopped | Self::Degraded => 2,
            Self::Unknown => 3,
            Self::Failed => 4,
        }
    }
}

/// What the service's process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// There is none, nor was there one in this container.
    None,
    /// It runs.
    Running,
    /// Somebody froze it.
    Paused,
    /// It ended.
    Ended {
        /// Its exit code was 0.
        success: bool,
    },
}

/// What its probes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Not ready yet, and not late.
    Starting,
    /// Ready, or without probes.
    Ready,
    /// It was ready, and is not now.
    Unready,
    /// Only a restart can mend it.
    Unhealthy,
    /// Not ready within its deadline.
    TimedOut,
    /// Nobody could ask it lately.
    Unknown,
}

/// What the reconciler does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// Nothing, or what a start takes.
    None,
    /// It waits for something: another service, its image, a delay before a restart.
    Waiting,
    /// It gave up, or tries only seldom.
    GaveUp,
}

/// All that is known about a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The daemon's answers can be had; otherwise the rest is old.
    pub reachable: bool,
    /// Its owner wants it to run.
    pub wanted: bool,
    /// It ends by design.
    pub one_shot: bool,
    /// What its process does.
    pub process: Process,
    /// What its probes say; meaningful while it runs.
    pub health: Health,
    /// What the reconciler does about it.
    pub care: Care,
    /// Why it waits, gave up, or is not well.
    pub diagnosis: Option<Diagnosis>,
}

/// How a service does, and why.
#[must_use]
pub fn service(facts: &Facts) -> (Status, Option<Diagnosis>) {
    let (status, reason) = word(facts);
    let told = facts.diagnosis.clone().filter(|_| status != Status::Unknown || facts.reachable);
    let told = match (status, reason) {
        (Status::Ready, None) => None,
        (_, Some(reason)) if told.as_ref().is_none_or(|it| overrides(reason, it.reason)) => {
            Some(Diagnosis::new(reason, reason.text()))
        }
        _ => told,
    };
    (status, told)
}

/// Some words say more than what was known before.
fn overrides(reason: Reason, known: Reason) -> bool {
    let loud = [Reason::DaemonUnreachable, Reason::Paused, Reason::Completed, Reason::Stopping];
    reason != known && loud.contains(&reason)
}

/// The word, and the reason that comes with it when nothing better is known.
fn word(facts: &Facts) -> (Status, Option<Reason>) {
    use Process::{Ended, None as Nothing, Paused, Running};
    if !facts.reachable {
        return (Status::Unknown, Some(Reason::DaemonUnreachable));
    }
    match (facts.wanted, facts.process) {
        (false, Running | Paused) => (Status::Degraded, Some(Reason::Stopping)),
        (false, Nothing | Ended { .. }) => (Status::Stopped, None),
        (true, Ended { success: true }) if facts.one_shot => {
            (Status::Ready, Some(Reason::Completed))
        }
        (true, Paused) => (Status::Unknown, Some(Reason::Paused)),
        (true, Running) => running(facts.health),
        (true, Ended { success }) => match facts.care {
            Care::GaveUp => (Status::Failed, Some(Reason::Exited)),
            Care::Waiting => (Status::Degraded, Some(Reason::Exited)),
            Care::None if success => (Status::Stopped, Some(Reason::Exited)),
            Care::None => (Status::Degraded, Some(Reason::Exited)),
        },
        (true, Nothing) => match facts.care {
            Care::GaveUp => (Status::Failed, None),
            Care::Waiting | Care::None => (Status::Starting, None),
        },
    }
}

fn running(health: Health) -> (Status, Option<Reason>) {
    match health {
        Health::Starting => (Status::Starting, None),
        Health::Ready => (Status::Ready, None),
        Health::Unready => (Status::Degraded, Some(Reason::Unready)),
        Health::Unhealthy => (Status::Degraded, Some(Reason::Unhealthy)),
        Health::TimedOut => (Status::Failed, Some(Reason::StartTimeout)),
        Health::Unknown => (Status::Unknown, Some(Reason::ProbeUnknown)),
    }
}

/// How a stack does, from its services by name, and which service says so. A stack that nobody
/// wants is stopped when all of it is; one without services is as it is wanted.
#[must_use]
pub fn stack<'a>(
    wanted: bool,
    services: impl IntoIterator<Item = (&'a str, Status)>,
) -> (Status, Option<&'a str>) {
    let mut worst = (if wanted { Status::Ready } else { Status::Stopped }, None);
    for (name, status) in services {
        let worse = match worst.0 {
            Status::Stopped if !wanted => status != Status::Stopped,
            worst => (wanted || status != Status::Stopped) && status.rank() > worst.rank(),
        };
        if worse {
            worst = (status, Some(name));
        }
    }
    match worst {
        // A service that ended by itself is one that does not work; the stack as a whole did not.
        (Status::Stopped, name) if wanted => (Status::Degraded, name),
        worst => worst,
    }
}

#[cfg(test)]
mod tests;
