//! Who publishes ports of the host.

use std::net::{IpAddr, Ipv4Addr};

use bollard::models::{ContainerSummary, PortSummary, PortSummaryTypeEnum};
use bollard::query_parameters::ListContainersOptions;
use proto::ProjectId;

use super::{CALL_TIMEOUT, Client, Error};
use crate::naming;

/// A container, whoever made it, with its ports of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publisher {
    /// Its name.
    pub name: String,
    /// From its label, when it is of one of our projects.
    pub service: Option<String>,
    /// From its label.
    pub project: Option<ProjectId>,
    /// Where it listens.
    pub ports: Vec<Published>,
}

/// A port of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Unspecified: every address.
    pub ip: IpAddr,
    /// Its number.
    pub port: u16,
    /// UDP, and otherwise TCP.
    pub udp: bool,
}

impl Client {
    /// The containers that run and publish ports, of whole the Engine.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn publishers(&self) -> Result<Vec<Publisher>, Error> {
        let listed = self
            .call("list containers", CALL_TIMEOUT, async |it| {
                it.list_containers(None::<ListContainersOptions>).await
            })
            .await?;
        Ok(listed.into_iter().map(read).filter(|it| !it.ports.is_empty()).collect())
    }
}

fn read(it: ContainerSummary) -> Publisher {
    let labels = it.labels.unwrap_or_default();
    let name = it.names.and_then(|it| it.into_iter().next()).unwrap_or_default();
    Publisher {
        name: name.trim_start_matches('/').to_owned(),
        service: labels.get(naming::SERVICE).cloned(),
        project: labels.get(naming::PROJECT).and_then(|it| it.parse().ok()),
        ports: it.ports.unwrap_or_default().iter().filter_map(published).collect(),
    }
}

fn published(it: &PortSummary) -> Option<Published> {
    let ip = it.ip.as_deref().and_then(|ip| ip.parse().ok());
    Some(Published {
        ip: ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        port: it.public_port?,
        udp: it.typ == Some(PortSummaryTypeEnum::UDP),
    })
}
