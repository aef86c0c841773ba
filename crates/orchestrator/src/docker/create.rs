//! A service as a container: hardened, limited, and started by nobody but us.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig,
    Mount as EngineMount, MountType, NetworkingConfig, PortBinding, PortMap, ResourcesUlimits,
    RestartPolicy, RestartPolicyNameEnum,
};

use crate::files::{self, File};
use crate::naming::Naming;
use crate::spec::{Attachment, MountKind, Port, Protocol, Service, User};

/// What every container may write besides its volumes, in bytes.
const TMP_BYTES: u64 = 64 << 20;

/// The Engine keeps this much of each container's output until it has been read.
const LOG_FILE_BYTES: &str = "50m";
const LOG_FILES: &str = "3";

/// Open files of a process; more than the daemon itself may open would be refused.
const FILES_MAX: i64 = 4_096;

/// A container to be made.
#[derive(Debug)]
pub struct NewContainer<'a> {
    /// Its name.
    pub name: String,
    /// The Engine's id of the image.
    pub image: &'a str,
    /// Ours; the owner's own are in the service.
    pub labels: BTreeMap<String, String>,
    /// What it runs.
    pub service: &'a Service,
    /// Who it is.
    pub user: User,
    /// Names its networks and volumes.
    pub naming: Naming,
    /// The folder of the volume that holds its files, on the daemon's host; empty when it has none.
    pub folder: String,
}

/// The request's body. Only one network fits into it before API 1.44; the others are connected
/// after.
pub(super) fn body(new: &NewContainer<'_>) -> ContainerCreateBody {
    let service = new.service;
    let given = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    // Ours last: an owner's label cannot pretend to be one of ours.
    let labels = service.labels.iter().chain(&new.labels).map(|(k, v)| (k.clone(), v.clone()));
    let hostname = if service.hostname.is_empty() { &service.name } else { &service.hostname };
    let env = service.environment.iter().map(|(key, value)| format!("{key}={value}"));
    ContainerCreateBody {
        hostname: Some(hostname.clone()),
        user: Some(format!("{}:{}", new.user.uid, new.user.gid)),
        env: Some(env.collect()),
        cmd: given(&service.command),
        entrypoint: given(&service.entrypoint),
        working_dir: (!service.working_dir.is_empty()).then(|| service.working_dir.clone()),
        image: Some(new.image.to_owned()),
        labels: Some(labels.collect()),
        stop_signal: Some(service.stop.signal.clone()),
        stop_timeout: i64::try_from(service.stop.grace.as_secs()).ok(),
        tty: Some(false),
        // The image's own check would run beside our probes.
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        }),
        exposed_ports: Some(service.ports.iter().map(port_key).collect()),
        host_config: Some(host(new)),
        networking_config: service.networks.first().map(|it| first_network(new, it)),
        ..ContainerCreateBody::default()
    }
}

/// Where a container that never runs has the volume that it was made for.
pub(super) const AROUND: &str = "/cc-volume";

/// A container that is made around a volume and never started.
pub(super) fn around(
    volume: &str,
    image: &str,
    labels: &BTreeMap<String, String>,
) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(image.to_owned()),
        cmd: Some(vec!["never".to_owned()]),
        labels: Some(labels.clone().into_iter().collect()),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            mounts: Some(vec![EngineMount {
                typ: Some(MountType::VOLUME),
                source: Some(volume.to_owned()),
                target: Some(AROUND.to_owned()),
                ..EngineMount::default()
            }]),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

fn host(new: &NewContainer<'_>) -> HostConfig {
    let service = new.service;
    let resources = service.resources;
    let memory = i64::try_from(resources.memory_bytes).ok();
    let network = service.networks.first().map(|it| new.naming.network(&it.network));
    HostConfig {
        memory,
        memory_swap: memory,
        nano_cpus: Some(i64::from(resources.cpu_millis) * 1_000_000),
        pids_limit: Some(i64::from(resources.pids)),
        shm_size: i64::try_from(resources.shm_bytes).ok(),
        ulimits: Some(vec![ResourcesUlimits {
            name: Some("nofile".to_owned()),
            soft: Some(FILES_MAX),
            hard: Some(FILES_MAX),
        }]),
        init: Some(service.init),
        network_mode: Some(network.unwrap_or_else(|| "none".to_owned())),
        port_bindings: Some(port_bindings(&service.ports)),
        // One brain decides about restarts; the Engine's would be silent and unseen.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), LOG_FILE_BYTES.to_owned()),
                ("max-file".to_owned(), LOG_FILES.to_owned()),
            ])),
        }),
        // Unlike mounts, binds need not be there before the start; each is one file.
        binds: Some(files::of(service).map(|it| bind(&new.folder, &it)).collect()),
        mounts: Some(service.mounts.iter().filter_map(|it| mount(new, it)).collect()),
        tmpfs: Some(tmpfs(service, new.user)),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(service.hardening.cap_add.clone()),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        readonly_rootfs: Some(service.hardening.read_only),
        privileged: Some(false),
        ..HostConfig::default()
    }
}

/// How the container is known in a network: by its service's name, and by its aliases.
pub(super) fn endpoint(service: &str, attachment: &Attachment) -> EndpointSettings {
    let aliases = std::iter::once(service.to_owned()).chain(attachment.aliases.iter().cloned());
    EndpointSettings { aliases: Some(aliases.collect()), ..EndpointSettings::default() }
}

fn first_network(new: &NewContainer<'_>, attachment: &Attachment) -> NetworkingConfig {
    let name = new.naming.network(&attachment.network);
    let endpoint = endpoint(&new.service.name, attachment);
    NetworkingConfig { endpoints_config: Some(HashMap::from([(name, endpoint)])) }
}

fn bind(folder: &str, file: &File<'_>) -> String {
    format!("{folder}/{}:{}:ro", file.slot, file.target)
}

fn mount(new: &NewContainer<'_>, mount: &crate::spec::Mount) -> Option<EngineMount> {
    let (typ, source) = match &mount.kind {
        MountKind::Volume(name) => (MountType::VOLUME, new.naming.volume(name)),
        MountKind::Bind(path) => (MountType::BIND, path.clone()),
        MountKind::Tmpfs(_) => return None,
    };
    Some(EngineMount {
        typ: Some(typ),
        source: Some(source),
        target: Some(mount.target.clone()),
        read_only: Some(mount.read_only),
        ..EngineMount::default()
    })
}

/// `/tmp`, unless something else is mounted there, and what the service asks for.
fn tmpfs(service: &Service, user: User) -> HashMap<String, String> {
    // Where the mount point is there already, as it is from the second start on, runc gives the
    // tmpfs its mode and not the one of the options; its owner may write all the same.
    let User { uid, gid } = user;
    let options =
        |bytes: u64| format!("rw,noexec,nosuid,nodev,size={bytes},mode=1777,uid={uid},gid={gid}");
    let taken = service.mounts.iter().any(|it| it.target == "/tmp");
    let tmp = (!taken).then(|| ("/tmp".to_owned(), options(TMP_BYTES)));
    let asked = service.mounts.iter().filter_map(|it| match it.kind {
        MountKind::Tmpfs(bytes) => Some((it.target.clone(), options(bytes))),
        _ => None,
    });
    asked.chain(tmp).collect()
}

fn port_key(port: &Port) -> String {
    let protocol = match port.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    format!("{}/{protocol}", port.container)
}

fn port_bindings(ports: &[Port]) -> PortMap {
    let mut map = PortMap::new();
    for port in ports {
        let binding = PortBinding {
            host_ip: Some(port.host_ip.to_string()),
            host_port: Some(port.host.map(|it| it.to_string()).unwrap_or_default()),
        };
        map.entry(port_key(port)).or_default().get_or_insert_default().push(binding);
    }
    map
}
