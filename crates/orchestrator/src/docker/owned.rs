//! Everything that carries our owner label.

use std::collections::{BTreeMap, HashMap};

use bollard::query_parameters::{ListContainersOptionsBuilder, ListNetworksOptionsBuilder};
use uuid::Uuid;

use super::container::by_label;
use super::{CALL_TIMEOUT, Client, Error};
use crate::dangling::{Kind, Owned};
use crate::naming;

impl Client {
    /// The containers and networks of an installation, over all its projects.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn owned(&self, owner: Uuid) -> Result<Vec<Owned>, Error> {
        let filters = by_label(&BTreeMap::from([(naming::OWNER.to_owned(), owner.to_string())]));
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let containers = self.call("list containers", CALL_TIMEOUT, async |it| {
            it.list_containers(Some(options)).await
        });
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let networks = self
            .call("list networks", CALL_TIMEOUT, async |it| it.list_networks(Some(options)).await);
        let (containers, networks) = futures::try_join!(containers, networks)?;
        let containers = containers.into_iter().map(|it| {
            let name = it.names.and_then(|it| it.into_iter().next()).unwrap_or_default();
            let name = name.trim_start_matches('/').to_owned();
            read(Kind::Container, it.id, name, it.labels)
        });
        let networks = networks
            .into_iter()
            .map(|it| read(Kind::Network, it.id, it.name.unwrap_or_default(), it.labels));
        Ok(containers.chain(networks).collect())
    }
}

fn read(
    kind: Kind,
    id: Option<String>,
    name: String,
    labels: Option<HashMap<String, String>>,
) -> Owned {
    let project = labels.as_ref().and_then(|it| it.get(naming::PROJECT));
    let project = project.and_then(|it| it.parse().ok());
    Owned { kind, id: id.unwrap_or_default(), name, project }
}
