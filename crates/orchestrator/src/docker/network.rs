//! Networks: list, make, connect, remove.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    Ipam, IpamConfig, Network as EngineNetwork, NetworkConnectRequest, NetworkCreateRequest,
};
use bollard::query_parameters::ListNetworksOptionsBuilder;
use ipnet::Ipv4Net;

use super::container::{by_label, gone};
use super::{CALL_TIMEOUT, CREATE_TIMEOUT, Client, Error, create};
use crate::naming;
use crate::observed::Network;
use crate::spec::Attachment;

/// The Engine's option that names a bridge.
const BRIDGE: &str = "com.docker.network.bridge.name";

/// A network to be made.
#[derive(Debug, Clone)]
pub struct NewNetwork {
    /// Its name in Docker.
    pub name: String,
    /// Ours.
    pub labels: BTreeMap<String, String>,
    /// No route out.
    pub internal: bool,
    /// Its addresses.
    pub subnet: Ipv4Net,
    /// Its bridge's name on the host; the Engine chooses one when there is none.
    pub bridge: Option<String>,
}

impl Client {
    /// The networks that carry all these labels.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn networks(&self, labels: &BTreeMap<String, String>) -> Result<Vec<Network>, Error> {
        let options = ListNetworksOptionsBuilder::new().filters(&by_label(labels)).build();
        let listed = self
            .call("list networks", CALL_TIMEOUT, async |it| it.list_networks(Some(options)).await)
            .await?;
        Ok(listed.into_iter().map(read).collect())
    }

    /// The addresses of every network of the Engine, whoever made it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn subnets(&self) -> Result<Vec<Ipv4Net>, Error> {
        let listed = self
            .call("list networks", CALL_TIMEOUT, async |it| {
                it.list_networks(None::<bollard::query_parameters::ListNetworksOptions>).await
            })
            .await?;
        Ok(listed.iter().flat_map(subnets).collect())
    }

    /// Makes a bridge network.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_network(&self, new: &NewNetwork) -> Result<(), Error> {
        let body = NetworkCreateRequest {
            name: new.name.clone(),
            driver: Some("bridge".to_owned()),
            internal: Some(new.internal),
            enable_ipv6: Some(false),
            ipam: Some(Ipam {
                config: Some(vec![IpamConfig {
                    subnet: Some(new.subnet.to_string()),
                    ..IpamConfig::default()
                }]),
                ..Ipam::default()
            }),
            options: new.bridge.clone().map(|it| HashMap::from([(BRIDGE.to_owned(), it)])),
            labels: Some(new.labels.clone().into_iter().collect()),
            ..NetworkCreateRequest::default()
        };
        self.call("create network", CREATE_TIMEOUT, async |it| it.create_network(body).await)
            .await
            .map(drop)
    }

    /// Puts a container into a network; one that is there already is fine.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn connect(
        &self,
        network: &str,
        container: &str,
        service: &str,
        attachment: &Attachment,
    ) -> Result<(), Error> {
        let body = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(create::endpoint(service, attachment)),
        };
        let connected = self
            .call("connect network", CREATE_TIMEOUT, async |it| {
                it.connect_network(network, body).await
            })
            .await;
        match connected {
            // The Engine has no status of its own for it.
            Err(Error::Refused { message, .. }) if message.contains("already exists") => Ok(()),
            other => other,
        }
    }

    /// Removes a network; one that is gone is fine.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn remove_network(&self, id: &str) -> Result<(), Error> {
        let removed = self
            .call("remove network", CREATE_TIMEOUT, async |it| it.remove_network(id).await)
            .await;
        gone(removed)
    }
}

fn subnets(network: &EngineNetwork) -> Vec<Ipv4Net> {
    let configs = network.ipam.iter().filter_map(|it| it.config.as_ref()).flatten();
    configs.filter_map(|it| it.subnet.as_deref()?.parse().ok()).collect()
}

fn read(it: EngineNetwork) -> Network {
    let subnet = subnets(&it).first().copied();
    let label = |key| it.labels.as_ref().and_then(|labels| labels.get(key)).cloned();
    Network {
        network: label(naming::NETWORK).unwrap_or_default(),
        id: it.id.unwrap_or_default(),
        name: it.name.unwrap_or_default(),
        internal: it.internal.unwrap_or(false),
        subnet,
    }
}
