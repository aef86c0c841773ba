//! What a plan consists of.

use std::fmt;
use std::time::Duration;

use ipnet::Ipv4Net;

use crate::observed::Limits;
use crate::spec::{Attachment, MountKind, Service, Stack};

/// One call of the Engine's API. Objects that are there are named by id.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Step {
    Stop { service: String, id: String, grace: Duration },
    RemoveContainer { service: String, id: String },
    RemoveNetwork { network: String, id: String },
    RemoveVolume { volume: String, name: String },
    RemoveFiles { service: String, name: String },
    CreateNetwork { network: String, internal: bool, subnet: Ipv4Net },
    CreateVolume { volume: String },
    CreateContainer { service: String },
    Connect { service: String, id: String, attachment: Attachment },
    Update { service: String, id: String, limits: Limits },
    Fill { service: String, id: String },
    Start { service: String, id: String },
}

impl Step {
    /// Whether it belongs to a start, which may happen when nothing may be made or removed.
    #[must_use]
    pub fn starts(&self) -> bool {
        match self {
            Self::Fill { .. } | Self::Start { .. } => true,
            // A helper has done its part of a start.
            Self::RemoveContainer { service, .. } => service.is_empty(),
            _ => false,
        }
    }

    /// The service that it is about; empty when it is about none.
    #[must_use]
    pub fn service(&self) -> &str {
        match self {
            Self::Stop { service, .. }
            | Self::RemoveContainer { service, .. }
            | Self::RemoveFiles { service, .. }
            | Self::CreateContainer { service }
            | Self::Fill { service, .. }
            | Self::Connect { service, .. }
            | Self::Update { service, .. }
            | Self::Start { service, .. } => service,
            Self::RemoveNetwork { .. }
            | Self::RemoveVolume { .. }
            | Self::CreateNetwork { .. }
            | Self::CreateVolume { .. } => "",
        }
    }

    /// Whether a service cannot become what it shall be before it is done.
    #[must_use]
    pub fn serves(&self, service: &Service) -> bool {
        match self {
            Self::RemoveNetwork { network, .. } | Self::CreateNetwork { network, .. } => {
                service.networks.iter().any(|it| it.network == *network)
            }
            Self::CreateVolume { volume } => {
                let is = |kind: &MountKind| matches!(kind, MountKind::Volume(it) if it == volume);
                service.mounts.iter().any(|it| is(&it.kind))
            }
            _ => self.service() == service.name,
        }
    }

    /// Whether a step that comes later must wait until this one is done.
    #[must_use]
    pub fn holds_up(&self, later: &Self, stack: &Stack) -> bool {
        let networks = match (self, later) {
            (Self::RemoveNetwork { network, .. }, Self::CreateNetwork { network: it, .. }) => {
                network == it
            }
            _ => false,
        };
        let same = !self.service().is_empty() && self.service() == later.service();
        let service = stack.services.get(later.service());
        networks || same || service.is_some_and(|it| self.serves(it))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stop { service, grace, .. } => {
                write!(f, "stop {service}, by force after {} s", grace.as_secs())
            }
            Self::RemoveContainer { service, .. } if service.is_empty() => {
                f.write_str("remove a helper")
            }
            Self::RemoveContainer { service, .. } => write!(f, "remove the container of {service}"),
            Self::RemoveNetwork { network, .. } => write!(f, "remove the network {network}"),
            Self::RemoveVolume { volume, .. } => write!(f, "remove the volume {volume}"),
            Self::CreateNetwork { network, subnet, .. } => {
                write!(f, "create the network {network} ({subnet})")
            }
            Self::RemoveFiles { service, .. } => write!(f, "remove the files of {service}"),
            Self::Fill { service, .. } => write!(f, "put the files of {service} in place"),
            Self::CreateVolume { volume } => write!(f, "create the volume {volume}"),
            Self::CreateContainer { service } => write!(f, "create the container of {service}"),
            Self::Connect { service, attachment, .. } => {
                write!(f, "connect {service} to {}", attachment.network)
            }
            Self::Update { service, limits, .. } => write!(
                f,
                "limit {service} to {} m CPU, {} MiB, {} pids",
                limits.cpu_millis,
                limits.memory_bytes >> 20,
                limits.pids
            ),
            Self::Start { service, .. } => write!(f, "start {service}"),
        }
    }
}
