//! Which keys a Compose file may have here, and what becomes of the others. `docs/ORCHESTRATION.md`
//! lists them too, and a test compares.

use super::{field::Field, report::Report};

/// What becomes of a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Use {
    /// It does what it does in Compose, or the table beside it in the documentation says otherwise.
    Taken,
    /// It changes nothing, which is said as a warning.
    Idle(&'static str),
    /// It cannot be had; the text says why, and what to do.
    Refused(&'static str),
}

use Use::{Idle, Refused, Taken};

/// Keys of one mapping.
pub(super) type Keys = &'static [(&'static str, Use)];

const HOST: &str = "would share a namespace of the host or of another container; remove it";
const DEVICE: &str = "would give the container a device of the host; remove it";
const KERNEL: &str = "would change the kernel for the container; remove it";
const OUR_NAMES: &str = "names are ours, so that projects cannot collide";

pub(super) const TOP: Keys = &[
    ("services", Taken),
    ("networks", Taken),
    ("volumes", Taken),
    ("secrets", Taken),
    ("configs", Taken),
    ("version", Idle("Compose itself has given it up")),
    ("name", Idle("--project names the project")),
    ("include", Refused("is not followed; give each file with -f")),
    ("models", Refused("models are not run here; run one as a service")),
    ("x-commandcenter", Refused("belongs into a service")),
];

pub(super) const SERVICE: Keys = &[
    ("image", Taken),
    ("command", Taken),
    ("entrypoint", Taken),
    ("working_dir", Taken),
    ("environment", Taken),
    ("env_file", Taken),
    ("secrets", Taken),
    ("configs", Taken),
    ("networks", Taken),
    ("ports", Taken),
    ("volumes", Taken),
    ("tmpfs", Taken),
    ("depends_on", Taken),
    ("healthcheck", Taken),
    ("restart", Taken),
    ("deploy", Taken),
    ("cpus", Taken),
    ("mem_limit", Taken),
    ("pids_limit", Taken),
    ("shm_size", Taken),
    ("user", Taken),
    ("read_only", Taken),
    ("cap_add", Taken),
    ("cap_drop", Taken),
    ("security_opt", Taken),
    ("stop_signal", Taken),
    ("stop_grace_period", Taken),
    ("labels", Taken),
    ("hostname", Taken),
    ("init", Taken),
    ("profiles", Taken),
    ("extends", Taken),
    ("scale", Taken),
    ("build", Taken),
    ("x-commandcenter", Taken),
    ("container_name", Idle(OUR_NAMES)),
    ("expose", Idle("services of one network reach all ports of each other")),
    ("logging", Idle("logs are kept by CommandCenter, whatever the driver")),
    ("mem_reservation", Idle("only limits are enforced")),
    ("oom_score_adj", Idle("only limits are enforced")),
    ("pull_policy", Idle("an image is pulled when it is missing")),
    ("stdin_open", Idle("nobody types into a service")),
    ("attach", Idle("`commandcenter logs` shows every service")),
    ("develop", Idle("there is no watch mode")),
    ("annotations", Idle("the Engine's runtime is told nothing")),
    ("privileged", Refused("a privileged service owns the host; remove it")),
    ("network_mode", Refused("would leave the project's network; remove it, and use `networks`")),
    ("pid", Refused(HOST)),
    ("ipc", Refused(HOST)),
    ("uts", Refused(HOST)),
    ("userns_mode", Refused(HOST)),
    ("cgroup", Refused(HOST)),
    ("cgroup_parent", Refused(HOST)),
    ("devices", Refused(DEVICE)),
    ("device_cgroup_rules", Refused(DEVICE)),
    ("gpus", Refused(DEVICE)),
    ("sysctls", Refused(KERNEL)),
    ("ulimits", Refused("limits of the process are set for all services alike; remove it")),
    ("use_api_socket", Refused("would give the service the Engine's socket; remove it")),
    ("volumes_from", Refused("name the volumes under `volumes`")),
    ("links", Refused("services of one network know each other by name; remove it")),
    ("external_links", Refused("would reach into another project; remove it")),
    ("extra_hosts", Refused("would lead out of the project's network; remove it")),
    ("dns", Refused("names are resolved by the Engine; remove it")),
    ("dns_opt", Refused("names are resolved by the Engine; remove it")),
    ("dns_search", Refused("names are resolved by the Engine; remove it")),
    ("domainname", Refused("write it into `hostname`")),
    ("mac_address", Refused("addresses are the Engine's; remove it")),
    ("group_add", Refused("write the group into `user`, as `uid:gid`")),
    ("tty", Refused("would mix standard output and error; remove it")),
    ("runtime", Refused("the runtime is the administrator's; remove it")),
    ("isolation", Refused("is for Windows; remove it")),
    ("credential_spec", Refused("is for Windows; remove it")),
    ("platform", Refused("images run on the host's platform; remove it")),
    ("storage_opt", Refused("containers are read-only; use a volume or tmpfs")),
    ("blkio_config", Refused("disk limits are not supported; remove it")),
    ("cpu_count", Refused("write `cpus`")),
    ("cpu_percent", Refused("write `cpus`")),
    ("cpu_period", Refused("write `cpus`")),
    ("cpu_quota", Refused("write `cpus`")),
    ("cpu_rt_period", Refused("write `cpus`")),
    ("cpu_rt_runtime", Refused("write `cpus`")),
    ("cpu_shares", Refused("write `cpus`")),
    ("cpuset", Refused("write `cpus`")),
    ("mem_swappiness", Refused("a service has no swap; remove it")),
    ("memswap_limit", Refused("a service has no swap; remove it")),
    ("oom_kill_disable", Refused("would stop the whole host; write `mem_limit`")),
    ("label_file", Refused("write the labels under `labels`")),
    ("post_start", Refused("write a service of its own, and `depends_on`")),
    ("pre_stop", Refused("let the program do it when it gets `stop_signal`")),
    ("provider", Refused("services are containers here; name an `image`")),
    ("models", Refused("models are not run here; run one as a service")),
];

pub(super) const NETWORK: Keys = &[
    ("internal", Taken),
    ("driver", Taken),
    ("name", Idle(OUR_NAMES)),
    ("labels", Idle("labels of networks are ours")),
    ("attachable", Idle("only the project's services join")),
    ("external", Refused("networks of others are out of reach; remove it")),
    ("driver_opts", Refused("would change the host's network; remove it")),
    (
        "ipam",
        Refused("subnets are given out by CommandCenter, so that they never overlap; remove it"),
    ),
    ("enable_ipv4", Refused("networks have IPv4; remove it")),
    ("enable_ipv6", Refused("networks have IPv4 only; remove it")),
];

pub(super) const VOLUME: Keys = &[
    ("driver", Taken),
    ("name", Idle(OUR_NAMES)),
    ("labels", Idle("labels of volumes are ours")),
    (
        "driver_opts",
        Refused("could mount any folder of the host, or a remote one; use a plain volume"),
    ),
    ("external", Refused("volumes of others are out of reach; remove it, and import the data")),
];

pub(super) const SECRET: Keys = &[
    ("file", Taken),
    ("environment", Taken),
    ("external", Taken),
    ("name", Idle(OUR_NAMES)),
    ("labels", Idle("secrets have no labels")),
    ("driver", Refused("secrets are kept by CommandCenter; remove it")),
    ("driver_opts", Refused("secrets are kept by CommandCenter; remove it")),
    ("template_driver", Refused("secrets are kept as they are; remove it")),
];

pub(super) const CONFIG: Keys = &[
    ("file", Taken),
    ("environment", Taken),
    ("content", Taken),
    ("name", Idle(OUR_NAMES)),
    ("labels", Idle("configs have no labels")),
    ("external", Refused("write its `content`, or name its `file`")),
    ("template_driver", Refused("configs are kept as they are; remove it")),
];

pub(super) const DEPLOY: Keys = &[
    ("resources", Taken),
    ("restart_policy", Taken),
    ("replicas", Taken),
    ("mode", Taken),
    ("labels", Idle("they are for the swarm's service, not for the container")),
    ("update_config", Idle("there is one container of each service")),
    ("rollback_config", Idle("there is one container of each service")),
    ("placement", Idle("there is one host")),
    ("endpoint_mode", Idle("there is one container of each service")),
];

pub(super) const RESTART_POLICY: Keys = &[
    ("condition", Taken),
    ("max_attempts", Taken),
    ("delay", Idle("the delay grows from 1 s to 60 s")),
    ("window", Idle("attempts are counted over ten minutes")),
];

pub(super) const RESOURCES: Keys =
    &[("limits", Taken), ("reservations", Idle("only limits are enforced"))];

pub(super) const LIMITS: Keys = &[("cpus", Taken), ("memory", Taken), ("pids", Taken)];

pub(super) const HEALTHCHECK: Keys = &[
    ("test", Taken),
    ("interval", Taken),
    ("timeout", Taken),
    ("retries", Taken),
    ("start_period", Taken),
    ("start_interval", Taken),
    ("disable", Taken),
];

pub(super) const DEPENDENCY: Keys =
    &[("condition", Taken), ("required", Taken), ("restart", Taken)];

pub(super) const ATTACHMENT: Keys = &[
    ("aliases", Taken),
    ("priority", Idle("the order of networks is that of the file")),
    ("gw_priority", Idle("the order of networks is that of the file")),
    ("ipv4_address", Refused("addresses are the Engine's; use the service's name")),
    ("ipv6_address", Refused("addresses are the Engine's; use the service's name")),
    ("link_local_ips", Refused("addresses are the Engine's; use the service's name")),
    ("mac_address", Refused("addresses are the Engine's; use the service's name")),
    ("interface_name", Refused("interfaces are the Engine's; remove it")),
    ("driver_opts", Refused("would change the host's network; remove it")),
];

pub(super) const PORT: Keys = &[
    ("target", Taken),
    ("published", Taken),
    ("host_ip", Taken),
    ("protocol", Taken),
    ("name", Idle("ports are known by their number")),
    ("mode", Idle("there is one host")),
    ("app_protocol", Idle("ports carry what they carry")),
];

pub(super) const MOUNT: Keys = &[
    ("type", Taken),
    ("source", Taken),
    ("target", Taken),
    ("read_only", Taken),
    ("tmpfs", Taken),
    ("bind", Taken),
    ("volume", Taken),
    ("consistency", Idle("mounts are consistent")),
    ("image", Refused("images are not mounted; copy the files into a volume or an image")),
];

pub(super) const MOUNT_TMPFS: Keys = &[("size", Taken), ("mode", Idle("every user may write"))];

pub(super) const MOUNT_BIND: Keys = &[
    ("create_host_path", Idle("folders of the host are not made")),
    ("selinux", Idle("labels of SELinux are the administrator's")),
    ("propagation", Refused("mounts stay private; remove it")),
    ("recursive", Refused("mounts stay private; remove it")),
];

pub(super) const MOUNT_VOLUME: Keys = &[
    ("nocopy", Idle("a new volume begins as the image has it")),
    ("subpath", Refused("a volume is mounted as a whole; use several volumes")),
];

pub(super) const FILE: Keys = &[
    ("source", Taken),
    ("target", Taken),
    ("mode", Taken),
    ("uid", Idle("files belong to the service's user")),
    ("gid", Idle("files belong to the service's user")),
];

pub(super) const ENV_FILE: Keys = &[("path", Taken), ("required", Taken), ("format", Taken)];

pub(super) const EXTENDS: Keys = &[("service", Taken), ("file", Taken)];

pub(super) const EXTENSION: Keys =
    &[("probes", Taken), ("restart", Taken), ("scan", Taken), ("one_shot", Taken)];

/// The keys of a probe that say how it asks.
pub(super) const PROBE_KINDS: [&str; 5] = ["exec", "http", "tcp", "postgres", "redis"];

pub(super) const PROBES: Keys = &[("startup", Taken), ("readiness", Taken), ("liveness", Taken)];

pub(super) const PROBE: Keys = &[
    ("exec", Taken),
    ("http", Taken),
    ("tcp", Taken),
    ("postgres", Taken),
    ("redis", Taken),
    ("period", Taken),
    ("timeout", Taken),
    ("failures", Taken),
    ("successes", Taken),
    ("deadline", Taken),
];

pub(super) const PROBE_HTTP: Keys = &[("port", Taken), ("path", Taken), ("status", Taken)];

pub(super) const PROBE_PORT: Keys = &[("port", Taken)];

pub(super) const RESTART: Keys = &[("policy", Taken), ("attempts", Taken)];

pub(super) const SCAN: Keys = &[("policy", Taken), ("severity", Taken)];

/// Every table with the heading that it has in the documentation.
#[cfg(test)]
pub(super) const ALL: [(&str, Keys); 27] = [
    ("top level", TOP),
    ("service", SERVICE),
    ("network", NETWORK),
    ("volume", VOLUME),
    ("secret", SECRET),
    ("config", CONFIG),
    ("deploy", DEPLOY),
    ("deploy.restart_policy", RESTART_POLICY),
    ("deploy.resources", RESOURCES),
    ("deploy.resources.limits", LIMITS),
    ("healthcheck", HEALTHCHECK),
    ("depends_on", DEPENDENCY),
    ("service.networks", ATTACHMENT),
    ("ports", PORT),
    ("service.volumes", MOUNT),
    ("service.volumes.tmpfs", MOUNT_TMPFS),
    ("service.volumes.bind", MOUNT_BIND),
    ("service.volumes.volume", MOUNT_VOLUME),
    ("service.secrets, service.configs", FILE),
    ("env_file", ENV_FILE),
    ("extends", EXTENDS),
    ("x-commandcenter", EXTENSION),
    ("x-commandcenter.probes", PROBES),
    ("x-commandcenter.probes.*", PROBE),
    ("x-commandcenter.probes.*.http", PROBE_HTTP),
    ("x-commandcenter.restart", RESTART),
    ("x-commandcenter.scan", SCAN),
];

/// Says which keys of a mapping are unknown, without effect, or refused.
pub(super) fn check(field: &Field<'_>, keys: Keys, report: &mut Report) {
    for (entry, value) in field.entries(report) {
        if report.is_full() {
            return;
        }
        match keys.iter().find(|(name, _)| *name == entry.key).map(|(_, usage)| usage) {
            Some(Taken) => {}
            Some(_) if value.is_nothing() => {}
            Some(Idle(why)) => {
                report.warn_at(entry.place, &value.path, format!("has no effect: {why}"));
            }
            Some(Refused(why)) => report.at(entry.place, &value.path, *why),
            None if entry.key.starts_with("x-") && !is_misspelt(&entry.key, keys) => {}
            None => report.at(entry.place, &value.path, unknown(&entry.key, keys)),
        }
    }
}

/// Names of keys this like each other are misspelt.
const LIKENESS_MIN: f64 = 0.75;

/// Extensions like ours that are not ours would be ignored in silence.
fn is_misspelt(key: &str, keys: Keys) -> bool {
    const LIKENESS_MIN: f64 = 0.95;
    const OWN: &str = "x-commandcenter";
    keys.iter().any(|(name, _)| *name == OWN) && strsim::jaro_winkler(key, OWN) >= LIKENESS_MIN
}

fn unknown(key: &str, keys: Keys) -> String {
    let taken = keys.iter().filter(|(_, usage)| matches!(usage, Taken)).map(|(name, _)| *name);
    let likeness = |name: &&str| strsim::jaro_winkler(key, name);
    let nearest = taken
        .filter(|name| likeness(name) >= LIKENESS_MIN)
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match nearest {
        Some(nearest) => format!("unknown key; did you mean `{nearest}`?"),
        None => {
            "unknown key; remove it, or see docs/ORCHESTRATION.md for those there are".to_owned()
        }
    }
}
