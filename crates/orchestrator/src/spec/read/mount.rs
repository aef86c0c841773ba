//! What appears in a container's file system, and what of the host may.

use std::path::Path;

use proto::orchestrator::v1;

use super::at_most;
use crate::spec::{Limits, Mount, MountKind, defaults, fault::At, name};

/// Mounts of one service.
const MOUNTS_MAX: usize = 100;

/// Sockets that make whoever opens them root on the host.
const ENGINE_SOCKETS: [&str; 6] = [
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/var/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/var/run/podman/podman.sock",
];

/// The kernel's own, and where we put secrets.
const RESERVED_TARGETS: [&str; 4] = ["/proc", "/sys", "/dev", "/run/secrets"];

pub(super) fn read(wire: Vec<v1::Mount>, limits: &Limits, at: &mut At<'_>) -> Vec<Mount> {
    let mounts = at_most(wire, MOUNTS_MAX, "mounts", at).into_iter().enumerate();
    mounts.map(|(index, mount)| one(mount, limits, at.index(index))).collect()
}

fn one(wire: v1::Mount, limits: &Limits, mut at: At<'_>) -> Mount {
    let kind = match wire.kind.as_str() {
        "volume" => MountKind::Volume(volume(wire.source, at.field("source"))),
        "bind" => MountKind::Bind(bind(wire.source, limits, at.field("source"))),
        "tmpfs" if wire.size_bytes > 0 => MountKind::Tmpfs(wire.size_bytes),
        "tmpfs" => MountKind::Tmpfs(defaults::TMPFS_BYTES),
        kind => {
            at.field("kind").fault(format!("must be one of volume, bind, tmpfs, not {kind:?}"));
            MountKind::Tmpfs(defaults::TMPFS_BYTES)
        }
    };
    Mount { kind, target: target(wire.target, at.field("target")), read_only: wire.read_only }
}

fn volume(name: String, mut at: At<'_>) -> String {
    at.check(!name.is_empty(), || {
        "must name a volume of the stack: one without a name would be lost when the container is \
         replaced"
            .to_owned()
    });
    name
}

/// A place of its own in the container.
pub(super) fn target(text: String, mut at: At<'_>) -> String {
    let Some(path) = name::path(&text) else {
        at.fault(format!("must be an absolute path without `..`, not {text:?}"));
        return text;
    };
    let reserved = |root: &&str| Path::new(&path).starts_with(root) && path != "/dev/shm";
    if path == "/" {
        at.fault("must not be /: it would hide the image");
    } else if let Some(root) = RESERVED_TARGETS.iter().find(|root| reserved(root)) {
        at.fault(format!("must not lie in {root}"));
    }
    path
}

fn bind(text: String, limits: &Limits, mut at: At<'_>) -> String {
    let Some(path) = name::path(&text) else {
        at.fault(format!("must be an absolute path without `..`, not {text:?}"));
        return text;
    };
    let source = Path::new(&path);
    if path == "/" {
        at.fault("must not be /: whoever writes there owns the host; use a volume");
    } else if is_engine_socket(source) {
        at.fault(format!(
            "must not be {path}: it leads to the Engine's socket, and whoever opens that is root \
             on the host; leave it out"
        ));
    } else if !limits.bind_roots.iter().any(|root| source.starts_with(root)) {
        at.fault(format!(
            "{path} is not below a folder that may be bound ({}); use a volume or a config, or let \
             the administrator add its folder to `orchestrator.bind_roots`",
            match limits.bind_roots.as_slice() {
                [] => "none is".to_owned(),
                roots => {
                    let roots: Vec<_> = roots.iter().map(|it| it.display().to_string()).collect();
                    roots.join(", ")
                }
            }
        ));
    }
    path
}

/// The socket itself, under whatever folder, or a folder that holds it.
fn is_engine_socket(source: &Path) -> bool {
    let by_name = |name: &str| matches!(name, "docker.sock" | "containerd.sock" | "podman.sock");
    source.file_name().and_then(|name| name.to_str()).is_some_and(by_name)
        || ENGINE_SOCKETS.iter().any(|socket| Path::new(socket).starts_with(source))
}
