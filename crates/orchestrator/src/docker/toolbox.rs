//! Helper containers: short-lived, of our own static program, for what needs a place inside the
//! Engine.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions,
    MountVolumeOptionsDriverConfig,
};
use bollard::query_parameters::{
    CreateContainerOptions, CreateImageOptionsBuilder, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures::TryStreamExt as _;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{CREATE_TIMEOUT, Client, Error};
use crate::files::VOLUME_BYTES;

/// The program, as `build.rs` compiled it.
const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/toolbox"));

/// The helper image; its tag is the program's digest, so that each version has its own.
static IMAGE: LazyLock<(String, String)> = LazyLock::new(|| {
    let digest = hex::encode(Sha256::digest(PROGRAM));
    ("commandcenter/toolbox".to_owned(), digest[..16].to_owned())
});

/// Where a helper has the volume that it holds.
const HELD: &str = "/files";

/// How long a volume is held at most, in seconds: long enough for fifty services that start
/// together. A helper that nobody removes is gone after that.
const HOLD_S: u32 = 300;

/// A helper needs next to nothing.
const MEMORY_BYTES: i64 = 32 << 20;
const PIDS: i64 = 8;

/// Nobody: a helper has no user of its own.
const USER: &str = "65534:65534";

impl Client {
    /// The helper image, made when it is missing.
    ///
    /// # Errors
    /// See [`Error`].
    async fn toolbox(&self) -> Result<String, Error> {
        let (repository, tag) = &*IMAGE;
        let name = format!("{repository}:{tag}");
        if let Some(id) = self.image(&name).await? {
            return Ok(id);
        }
        let root = root().map_err(|error| Error::malformed("import image", error.to_string()))?;
        let options = CreateImageOptionsBuilder::new()
            .from_src("-")
            .repo(repository)
            .tag(tag)
            .changes(vec![r#"ENTRYPOINT ["/toolbox"]"#.to_owned(), "LABEL cc.toolbox=1".to_owned()])
            .build();
        self.call("import image", CREATE_TIMEOUT, async |it| {
            let body = bollard::body_full(root.into());
            it.create_image(Some(options), Some(body), None).try_collect::<Vec<_>>().await
        })
        .await?;
        let made = self.image(&name).await?;
        made.ok_or_else(|| Error::malformed("import image", "the image is not there afterwards"))
    }

    /// Holds a volume of memory, which lives as long as somebody has it mounted. Answers the
    /// helper's id: remove it once the volume is in the hands of who needs it. One that a crash
    /// leaves behind carries `labels`, by which it is found.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn hold(
        &self,
        volume: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<String, Error> {
        let image = self.toolbox().await?;
        let mut body = body(image, vec!["wait".to_owned(), HOLD_S.to_string()], labels);
        let mounts = Some(vec![held(volume, labels)]);
        body.host_config = body.host_config.map(|it| HostConfig { mounts, ..it });
        let made = self
            .call("create container", CREATE_TIMEOUT, async |it| {
                it.create_container(None::<CreateContainerOptions>, body).await
            })
            .await?;
        self.start_container(&made.id).await?;
        Ok(made.id)
    }

    /// Unpacks an archive into the volume that a helper holds.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn fill(&self, helper: &str, archive: Zeroizing<Vec<u8>>) -> Result<(), Error> {
        let options = UploadToContainerOptionsBuilder::new().path(HELD).build();
        // Wiped when the last of the request is gone.
        let body = bollard::body_full(Bytes::from_owner(archive));
        self.call("fill volume", CREATE_TIMEOUT, async |it| {
            it.upload_to_container(helper, Some(options), body).await
        })
        .await
    }
}

/// What makes a volume memory. Only the Engine itself looks into it.
pub(super) fn memory() -> HashMap<String, String> {
    let options = format!("size={VOLUME_BYTES},mode=0700,noexec,nosuid,nodev");
    [("type", "tmpfs"), ("device", "tmpfs"), ("o", &options)]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Should the volume have gone in between, the Engine makes it again, and again of memory.
fn held(volume: &str, labels: &BTreeMap<String, String>) -> Mount {
    let driver =
        MountVolumeOptionsDriverConfig { name: Some("local".to_owned()), options: Some(memory()) };
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume.to_owned()),
        target: Some(HELD.to_owned()),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            labels: Some(labels.clone().into_iter().collect()),
            driver_config: Some(driver),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    }
}

/// A helper that may nothing.
fn body(
    image: String,
    command: Vec<String>,
    labels: &BTreeMap<String, String>,
) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(image),
        cmd: Some(command),
        user: Some(USER.to_owned()),
        labels: Some(labels.clone().into_iter().collect()),
        stop_signal: Some("SIGKILL".to_owned()),
        host_config: Some(HostConfig {
            auto_remove: Some(true),
            network_mode: Some("none".to_owned()),
            memory: Some(MEMORY_BYTES),
            memory_swap: Some(MEMORY_BYTES),
            pids_limit: Some(PIDS),
            readonly_rootfs: Some(true),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
            log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// The image's only layer.
fn root() -> std::io::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o555);
    header.set_size(PROGRAM.len() as u64);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, "toolbox", PROGRAM)?;
    archive.into_inner()
}
