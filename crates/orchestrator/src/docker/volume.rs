//! Volumes: list, make, remove.

use std::collections::{BTreeMap, HashMap};

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptionsBuilder};

use super::container::{by_label, gone};
use super::{CALL_TIMEOUT, CREATE_TIMEOUT, Client, Error};
use crate::naming;
use crate::observed::Volume;

impl Client {
    /// The volumes that carry all these labels.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn volumes(&self, labels: &BTreeMap<String, String>) -> Result<Vec<Volume>, Error> {
        let options = ListVolumesOptionsBuilder::new().filters(&by_label(labels)).build();
        let listed = self
            .call("list volumes", CALL_TIMEOUT, async |it| it.list_volumes(Some(options)).await)
            .await?;
        let read = |mut it: bollard::models::Volume| Volume {
            volume: it.labels.remove(naming::VOLUME).unwrap_or_default(),
            name: it.name,
        };
        Ok(listed.volumes.unwrap_or_default().into_iter().map(read).collect())
    }

    /// Makes a volume; one of that name that is there already is left as it is, and its labels
    /// are answered.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_volume(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<HashMap<String, String>, Error> {
        let body = VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some(labels.clone().into_iter().collect()),
            ..VolumeCreateRequest::default()
        };
        let volume = self
            .call("create volume", CREATE_TIMEOUT, async |it| it.create_volume(body).await)
            .await?;
        Ok(volume.labels)
    }

    /// Removes a volume with its data; one that is gone is fine.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn remove_volume(&self, name: &str) -> Result<(), Error> {
        let options = RemoveVolumeOptionsBuilder::new().build();
        let removed = self
            .call("remove volume", CREATE_TIMEOUT, async |it| {
                it.remove_volume(name, Some(options)).await
            })
            .await;
        gone(removed)
    }
}
