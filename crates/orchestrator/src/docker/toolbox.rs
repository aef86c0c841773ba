//! Helper containers: short-lived, of our own static program, for what needs a place inside the
//! Engine.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount,
    MountType, MountVolumeOptions, MountVolumeOptionsDriverConfig,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptions, CreateImageOptionsBuilder,
    UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{CALL_TIMEOUT, CREATE_TIMEOUT, Client, Error};
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

/// Who a helper is.
const NOBODY: &str = "65534:65534";

/// Who a helper is that changes the packet filter.
const ROOT: &str = "0:0";

/// How long a helper may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// What is read of an answer, in bytes: fifty processes with a hundred mounts each.
const OUTPUT_BYTES_MAX: usize = 4 << 20;

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
        let host = HostConfig { mounts: Some(vec![held(volume, labels)]), ..host() };
        let command = vec!["wait".to_owned(), HOLD_S.to_string()];
        let id = self.helper(command, labels, NOBODY, host).await?;
        self.start_container(&id).await?;
        Ok(id)
    }

    /// What the kernel says of processes of the daemon's host, as `toolbox proc` tells it. The
    /// helper sees every process, and may nothing. It carries `labels`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn processes(
        &self,
        pids: &[i64],
        labels: &BTreeMap<String, String>,
    ) -> Result<String, Error> {
        let command = std::iter::once("proc".to_owned()).chain(pids.iter().map(i64::to_string));
        let groups = Mount {
            typ: Some(MountType::BIND),
            source: Some("/sys/fs/cgroup".to_owned()),
            target: Some("/cgroup".to_owned()),
            read_only: Some(true),
            ..Mount::default()
        };
        let host = HostConfig {
            pid_mode: Some("host".to_owned()),
            // With user namespaces of its own, the Engine shares processes only this way.
            userns_mode: Some("host".to_owned()),
            cgroupns_mode: Some(HostConfigCgroupnsModeEnum::HOST),
            mounts: Some(vec![groups]),
            ..host()
        };
        self.ask(command.collect(), labels, NOBODY, host).await
    }

    /// Keeps (`keep`) containers on bridges whose names begin with `prefix` away from the host, or
    /// no longer (`remove`). Answers `kept`, `restored`, `removed`, or why it cannot be done. The
    /// helper runs the host's own `iptables`; it carries `labels`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn filter(
        &self,
        action: &str,
        prefix: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<String, Error> {
        let bind = |from: &str, to: &str, read_only| Mount {
            typ: Some(MountType::BIND),
            source: Some(from.to_owned()),
            target: Some(to.to_owned()),
            read_only: Some(read_only),
            ..Mount::default()
        };
        let capabilities = ["NET_ADMIN", "NET_RAW", "SYS_CHROOT"].map(str::to_owned);
        let host = HostConfig {
            network_mode: Some("host".to_owned()),
            userns_mode: Some("host".to_owned()),
            cap_add: Some(capabilities.to_vec()),
            // The lock of the tables lies in /run.
            mounts: Some(vec![bind("/", "/host", true), bind("/run", "/host/run", false)]),
            ..host()
        };
        let command = ["filter", action, prefix].map(str::to_owned).to_vec();
        let answer = self.ask(command, labels, ROOT, host).await?;
        Ok(answer.trim().to_owned())
    }

    /// Runs a helper to its end and answers what it printed.
    async fn ask(
        &self,
        command: Vec<String>,
        labels: &BTreeMap<String, String>,
        user: &str,
        host: HostConfig,
    ) -> Result<String, Error> {
        let id = self.helper(command, labels, user, host).await?;
        let read = async {
            let options =
                AttachContainerOptionsBuilder::new().stream(true).stdout(true).stderr(true);
            let mut attached = self
                .call("attach", CALL_TIMEOUT, async |it| {
                    it.attach_container(&id, Some(options.build())).await
                })
                .await?;
            self.start_container(&id).await?;
            let mut printed = Vec::new();
            let read = async {
                while let Some(Ok(part)) = attached.output.next().await {
                    let part = part.into_bytes();
                    let left = OUTPUT_BYTES_MAX.saturating_sub(printed.len());
                    printed.extend_from_slice(&part[..part.len().min(left)]);
                }
            };
            let late = |_| Error::Timeout { what: "helper", after: ANSWER_TIMEOUT };
            tokio::time::timeout(ANSWER_TIMEOUT, read).await.map_err(late)?;
            Ok(String::from_utf8_lossy(&printed).into_owned())
        };
        let answer = read.await;
        // One that ran to its end is gone already.
        self.remove_container(&id).await?;
        answer
    }

    async fn helper(
        &self,
        command: Vec<String>,
        labels: &BTreeMap<String, String>,
        user: &str,
        host: HostConfig,
    ) -> Result<String, Error> {
        let body = ContainerCreateBody {
            image: Some(self.toolbox().await?),
            cmd: Some(command),
            user: Some(user.to_owned()),
            labels: Some(labels.clone().into_iter().collect()),
            stop_signal: Some("SIGKILL".to_owned()),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        };
        let made = self
            .call("create container", CREATE_TIMEOUT, async |it| {
                it.create_container(None::<CreateContainerOptions>, body).await
            })
            .await?;
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

/// Of a helper that may nothing.
fn host() -> HostConfig {
    HostConfig {
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
