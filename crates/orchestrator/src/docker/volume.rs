//! Volumes: list, make, remove.

use std::collections::{BTreeMap, HashMap};

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{
    CreateContainerOptions, ListVolumesOptionsBuilder, RemoveVolumeOptionsBuilder,
    UploadToContainerOptionsBuilder,
};

use super::container::{by_label, gone};
use super::{CALL_TIMEOUT, CREATE_TIMEOUT, Client, Error, create, toolbox};
use crate::naming;
use crate::observed::Volume;
use crate::spec::User;

/// A volume that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Perhaps not ours.
    pub labels: HashMap<String, String>,
    /// Where it lies on the daemon's host.
    pub folder: String,
    /// Whether it is memory.
    pub memory: bool,
}

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
            files_of: it.labels.remove(naming::FILES).unwrap_or_default(),
            name: it.name,
        };
        Ok(listed.volumes.unwrap_or_default().into_iter().map(read).collect())
    }

    /// Makes a volume, of memory or of the disk; one of that name that is there already is left as
    /// it is. What is there is answered.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_volume(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
        memory: bool,
    ) -> Result<Found, Error> {
        let body = VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some(labels.clone().into_iter().collect()),
            driver_opts: memory.then(toolbox::memory),
            ..VolumeCreateRequest::default()
        };
        let volume = self
            .call("create volume", CREATE_TIMEOUT, async |it| it.create_volume(body).await)
            .await?;
        let options = volume.options;
        let memory = options.get("type").is_some_and(|it| it == "tmpfs");
        Ok(Found { labels: volume.labels, folder: volume.mountpoint, memory })
    }

    /// Gives a volume's root to `user`: a new volume is root's, and no service is root.
    ///
    /// The Engine unpacks an archive as root, so that nothing needs to run: a container of `image`
    /// is made around the volume, never started, and removed. One that a crash leaves behind
    /// carries `labels`, by which it is found.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn own_volume(
        &self,
        volume: &str,
        image: &str,
        labels: &BTreeMap<String, String>,
        user: User,
    ) -> Result<(), Error> {
        let body = create::around(volume, image, labels);
        let made = self
            .call("create container", CREATE_TIMEOUT, async |it| {
                it.create_container(None::<CreateContainerOptions>, body).await
            })
            .await?;
        let owned = self.unpack(&made.id, user).await;
        self.remove_container(&made.id).await?;
        owned
    }

    async fn unpack(&self, id: &str, user: User) -> Result<(), Error> {
        let folder = folder(user).map_err(|error| Error::malformed("own", error.to_string()))?;
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        self.call("own volume", CALL_TIMEOUT, async |it| {
            it.upload_to_container(id, Some(options), bollard::body_full(folder.into())).await
        })
        .await
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

/// An archive of one folder, which belongs to `user`.
fn folder(user: User) -> std::io::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_uid(u64::from(user.uid));
    header.set_gid(u64::from(user.gid));
    header.set_mode(0o755);
    header.set_size(0);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, create::AROUND.trim_start_matches('/'), std::io::empty())?;
    archive.into_inner()
}
