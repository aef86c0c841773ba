//! Volumes: list, make, remove.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{
    CreateContainerOptions, DownloadFromContainerOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveVolumeOptionsBuilder, UploadToContainerOptionsBuilder,
};
use futures::StreamExt as _;

use super::container::{by_label, gone};
use super::{CALL_TIMEOUT, CREATE_TIMEOUT, Client, Error, create, toolbox};
use crate::naming;
use crate::observed::Volume;
use crate::spec::User;

/// How much of a volume's archive is read, in bytes: the headers of its root and of what comes
/// first in it.
const HEAD_BYTES: usize = 8 * 1024;

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

    /// Gives a new volume's root to `user`: it is root's, or whose the image has it, and no service
    /// is root. One that has an owner among `owners`, the uids of those who share it, or that holds
    /// something, is left as it is.
    ///
    /// The Engine packs and unpacks archives as root, so that nothing needs to run: a container of
    /// `image` is made around the volume, never started, and removed. One that a crash leaves
    /// behind carries `labels`, by which it is found.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn own_volume(
        &self,
        volume: &str,
        image: &str,
        labels: &BTreeMap<String, String>,
        user: User,
        owners: &[u32],
    ) -> Result<(), Error> {
        let body = create::around(volume, image, labels);
        let made = self
            .call("create container", CREATE_TIMEOUT, async |it| {
                it.create_container(None::<CreateContainerOptions>, body).await
            })
            .await?;
        let owned = self.own(&made.id, user, owners).await;
        self.remove_container(&made.id).await?;
        owned
    }

    async fn own(&self, id: &str, user: User, owners: &[u32]) -> Result<(), Error> {
        let root = self.root(id).await?;
        if root.is_new(owners) { self.unpack(id, user, root.mode).await } else { Ok(()) }
    }

    /// What the volume's root is like: the beginning of its archive tells.
    async fn root(&self, id: &str) -> Result<Root, Error> {
        let options = DownloadFromContainerOptionsBuilder::new().path(create::AROUND).build();
        let head = self
            .call("read volume", CALL_TIMEOUT, async |it| {
                let mut archive = pin!(it.download_from_container(id, Some(options)));
                let mut head = Vec::new();
                while head.len() < HEAD_BYTES
                    && let Some(part) = archive.next().await
                {
                    head.extend_from_slice(&part?);
                }
                Ok(head)
            })
            .await?;
        Root::read(&head).map_err(|error| Error::malformed("read volume", error.to_string()))
    }

    async fn unpack(&self, id: &str, user: User, mode: u32) -> Result<(), Error> {
        let folder =
            folder(user, mode).map_err(|error| Error::malformed("own", error.to_string()))?;
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

/// The root of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Root {
    uid: u64,
    mode: u32,
    empty: bool,
}

impl Root {
    /// From the beginning of an archive of it.
    fn read(head: &[u8]) -> std::io::Result<Self> {
        let mut archive = tar::Archive::new(head);
        let mut entries = archive.entries()?;
        let none = || std::io::Error::other("its archive is empty");
        let root = entries.next().ok_or_else(none)??;
        let (uid, mode) = (root.header().uid()?, root.header().mode()? & 0o7777);
        // What is cut off is something too.
        Ok(Self { uid, mode, empty: entries.next().is_none() })
    }

    /// Whether nobody has made it his own: neither one of `owners` nor a restored backup.
    fn is_new(&self, owners: &[u32]) -> bool {
        let owned = owners.iter().any(|it| u64::from(*it) == self.uid);
        !owned && (self.empty || self.uid == 0)
    }
}

/// An archive of one folder, which belongs to `user`.
fn folder(user: User, mode: u32) -> std::io::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_uid(u64::from(user.uid));
    header.set_gid(u64::from(user.gid));
    header.set_mode(mode);
    header.set_size(0);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, create::AROUND.trim_start_matches('/'), std::io::empty())?;
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: User = User { uid: 20_000, gid: 20_000 };

    #[test]
    fn only_a_root_that_is_nobodys_is_new() {
        let root = |uid, empty| Root { uid, mode: 0o700, empty };
        let cases = [
            (root(0, true), true),
            (root(0, false), true),
            // Of the image.
            (root(999, true), true),
            // Of one who shares it, of ourselves, and of a restored backup.
            (root(20_001, true), false),
            (root(20_000, false), false),
            (root(999, false), false),
        ];
        for (root, new) in cases {
            assert_eq!(root.is_new(&[20_000, 20_001]), new, "{root:?}");
        }
    }

    #[test]
    fn a_root_is_known_from_the_beginning_of_its_archive() {
        let archive = folder(USER, 0o700).expect("it is small");
        let read = |bytes: &[u8]| Root::read(bytes).expect("it begins with the root");
        assert_eq!(read(&archive), Root { uid: 20_000, mode: 0o700, empty: true });
        let mut full = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mode(0o755);
        header.set_size(0);
        full.append_data(&mut header.clone(), "cc-volume", std::io::empty()).expect("it fits");
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(9_000);
        full.append_data(&mut header, "cc-volume/x", [7; 9_000].as_slice()).expect("it fits");
        let full = full.into_inner().expect("it is whole");
        assert!(!read(&full[..HEAD_BYTES]).empty);
        Root::read(&[]).expect_err("nothing is there");
    }
}
