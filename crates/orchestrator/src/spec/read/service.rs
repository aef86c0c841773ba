//! One service: everything about it that can be said without looking at the others.

use std::collections::BTreeMap;

use proto::orchestrator::v1;

use super::{DEFAULT_NETWORK, NETWORKS_MAX, argument, at_most, file, mount, port, probe};
use crate::spec::{
    Attachment, Condition, Dependency, Hardening, Limits, Resources, Restart, RestartPolicy,
    SERVICES_MAX, Scan, Service, Stop, User, defaults,
    fault::At,
    name, secret,
    word::{self, CONDITIONS, ON_RESTART, RESTART_POLICIES, SCAN_POLICIES, SEVERITIES},
};

/// Variables, labels, arguments, ports and the like of one service, each.
const ITEMS_MAX: usize = 500;

/// Variables, or labels, or arguments of one service, in bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// The most that a numeric user can be.
const ID_MAX: u32 = i32::MAX as u32;

/// Signals that ask a process to end, or to do what its author made of them.
const SIGNALS: [&str; 9] = [
    "SIGTERM",
    "SIGINT",
    "SIGQUIT",
    "SIGHUP",
    "SIGUSR1",
    "SIGUSR2",
    "SIGWINCH",
    "SIGKILL",
    "SIGRTMIN+3",
];

/// Labels under this are ours.
const OWN_LABELS: &str = "cc.";

pub(super) fn read(wire: v1::ServiceSpec, limits: &Limits, mut at: At<'_>) -> Service {
    let resources = resources(wire.resources.unwrap_or_default(), at.field("resources"));
    if let Some(fault) = name::image_fault(&wire.image) {
        at.field("image").fault(fault);
    }
    let in_text = wire.entrypoint.iter().chain(&wire.command).map(String::len).sum();
    bounded(wire.entrypoint.len() + wire.command.len(), in_text, &mut at.field("command"));
    argument::check(&wire.entrypoint, &mut at.field("entrypoint"));
    argument::check(&wire.command, &mut at.field("command"));
    environment(&wire.environment, &mut at.field("environment"));
    labels(&wire.labels, &mut at.field("labels"));
    at.field("hostname").check(wire.hostname.is_empty() || name::is_host(&wire.hostname), || {
        format!("must be a host name, not {:?}", wire.hostname)
    });
    Service {
        image: wire.image,
        entrypoint: wire.entrypoint,
        command: wire.command,
        working_dir: working_dir(wire.working_dir, at.field("working_dir")),
        environment: wire.environment,
        secrets: file::secrets(wire.secrets, &mut at.field("secrets")),
        configs: file::configs(wire.configs, &mut at.field("configs")),
        networks: networks(wire.networks, &mut at.field("networks")),
        ports: port::read(wire.ports, &mut at.field("ports")),
        mounts: mount::read(wire.mounts, limits, &mut at.field("mounts")),
        depends_on: dependencies(wire.depends_on, &wire.name, &mut at.field("depends_on")),
        resources,
        hardening: hardening(wire.hardening.unwrap_or_default(), limits, at.field("hardening")),
        probes: probe::read(wire.probes.unwrap_or_default(), &mut at.field("probes")),
        restart: restart(wire.restart.unwrap_or_default(), wire.one_shot, at.field("restart")),
        stop: stop(wire.stop.unwrap_or_default(), at.field("stop")),
        labels: wire.labels,
        hostname: wire.hostname,
        init: wire.init,
        scan: scan(wire.scan.unwrap_or_default(), at.field("scan")),
        one_shot: wire.one_shot,
        name: wire.name,
    }
}

fn bounded(items: usize, bytes: usize, at: &mut At<'_>) {
    at.check(items <= ITEMS_MAX && bytes <= TEXT_BYTES_MAX, || {
        format!("must be at most {ITEMS_MAX} entries and {TEXT_BYTES_MAX} bytes")
    });
}

fn environment(environment: &BTreeMap<String, String>, at: &mut At<'_>) {
    let bytes = environment.iter().map(|(name, value)| name.len() + value.len()).sum();
    bounded(environment.len(), bytes, at);
    for (name, value) in environment {
        let mut at = at.field(name);
        at.check(name::is_variable(name), || format!("{name:?} is no name of a variable"));
        at.check(!value.contains('\0'), || "must not hold a zero byte".to_owned());
        if let Some(why) = secret::suspicion(name, value) {
            at.fault(format!(
                "looks like a secret: {why}. Declare it under `secrets`, and tell the program to \
                 read the file, often with {name}_FILE=/run/secrets/NAME"
            ));
        }
    }
}

fn labels(labels: &BTreeMap<String, String>, at: &mut At<'_>) {
    bounded(labels.len(), labels.iter().map(|(key, value)| key.len() + value.len()).sum(), at);
    for (key, value) in labels {
        let mut at = at.field(key);
        at.check(!key.is_empty() && !key.starts_with(OWN_LABELS), || {
            format!("must have a name that does not begin with {OWN_LABELS}; those are ours")
        });
        if let Some(why) = secret::suspicion(key, value) {
            at.fault(format!(
                "looks like a secret: {why}. Whoever may look at the container reads its labels; \
                 declare it under `secrets`"
            ));
        }
    }
}

fn working_dir(text: String, mut at: At<'_>) -> String {
    if text.is_empty() {
        return text;
    }
    name::path(&text).unwrap_or_else(|| {
        at.fault(format!("must be an absolute path without `..`, not {text:?}"));
        text
    })
}

fn networks(wire: Vec<v1::NetworkAttachment>, at: &mut At<'_>) -> Vec<Attachment> {
    if wire.is_empty() {
        return vec![Attachment { network: DEFAULT_NETWORK.to_owned(), aliases: Vec::new() }];
    }
    let mut networks: Vec<Attachment> = Vec::new();
    for (index, network) in at_most(wire, NETWORKS_MAX, "networks", at).into_iter().enumerate() {
        let mut at = at.index(index);
        at.check(networks.iter().all(|it| it.network != network.name), || {
            format!("names the network {:?} twice", network.name)
        });
        for (index, alias) in network.aliases.iter().enumerate() {
            at.field("aliases")
                .index(index)
                .check(name::is_host(alias), || format!("must be a host name, not {alias:?}"));
        }
        networks.push(Attachment { network: network.name, aliases: network.aliases });
    }
    networks
}

fn dependencies(wire: Vec<v1::Dependency>, own: &str, at: &mut At<'_>) -> Vec<Dependency> {
    let mut dependencies: Vec<Dependency> = Vec::new();
    for (index, dependency) in at_most(wire, SERVICES_MAX, "services", at).into_iter().enumerate() {
        let mut at = at.index(index);
        let name = dependency.service;
        at.field("service").check(name != own, || "must be another service".to_owned());
        at.field("service").check(dependencies.iter().all(|it| it.service != name), || {
            format!("names {name:?} twice")
        });
        let condition = at.field("condition");
        let condition =
            word::read(condition, &dependency.condition, Condition::Started, CONDITIONS);
        let restart = word::read(at.field("on_restart"), &dependency.on_restart, false, ON_RESTART);
        let required = dependency.required.unwrap_or(true);
        dependencies.push(Dependency { service: name, condition, required, restart });
    }
    dependencies
}

fn resources(wire: v1::Resources, mut at: At<'_>) -> Resources {
    let defaults = defaults::RESOURCES;
    let resources = Resources {
        cpu_millis: if wire.cpu_millis == 0 { defaults.cpu_millis } else { wire.cpu_millis },
        memory_bytes: if wire.memory_bytes == 0 {
            defaults.memory_bytes
        } else {
            wire.memory_bytes
        },
        pids: if wire.pids == 0 { defaults.pids } else { wire.pids },
        shm_bytes: wire.shm_bytes,
    };
    let (cpu, memory, pids) = (defaults::CPU_MILLIS, defaults::MEMORY_BYTES, defaults::PIDS);
    at.field("cpu_millis").check(cpu.contains(&resources.cpu_millis), || {
        format!("must be {} to {} thousandths of a CPU", cpu.start(), cpu.end())
    });
    at.field("memory_bytes").check(memory.contains(&resources.memory_bytes), || {
        format!("must be {} to {} bytes", memory.start(), memory.end())
    });
    at.field("pids").check(pids.contains(&resources.pids), || {
        format!("must be {} to {}", pids.start(), pids.end())
    });
    at.field("shm_bytes").check(resources.shm_bytes <= resources.memory_bytes, || {
        format!("must be at most the memory limit, {} bytes", resources.memory_bytes)
    });
    let shm_default = defaults.shm_bytes.min(resources.memory_bytes);
    let shm_bytes = if wire.shm_bytes == 0 { shm_default } else { wire.shm_bytes };
    Resources { shm_bytes, ..resources }
}

fn hardening(wire: v1::Hardening, limits: &Limits, mut at: At<'_>) -> Hardening {
    let mut cap_add = Vec::new();
    let capabilities = at_most(wire.cap_add, ITEMS_MAX, "capabilities", &mut at.field("cap_add"));
    for (index, text) in capabilities.iter().enumerate() {
        let upper = text.to_ascii_uppercase();
        let capability = upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned();
        at.field("cap_add").index(index).check(limits.capabilities.contains(&capability), || {
            format!(
                "{text:?} is not among the capabilities that are allowed here ({}); the \
                 administrator allows more with `orchestrator.capabilities`",
                limits.capabilities.join(", ")
            )
        });
        if !cap_add.contains(&capability) {
            cap_add.push(capability);
        }
    }
    cap_add.sort_unstable();
    let user = user(&wire.user, limits, at.field("user"));
    Hardening { user, read_only: wire.read_only.unwrap_or(true), cap_add }
}

fn user(text: &str, limits: &Limits, mut at: At<'_>) -> Option<User> {
    if text.is_empty() {
        return None;
    }
    let (uid, gid) = text.split_once(':').unwrap_or((text, text));
    let id = |text: &str| text.parse().ok().filter(|id| *id <= ID_MAX);
    let (Some(uid), Some(gid)) = (id(uid), id(gid)) else {
        at.fault(format!(
            "must be numeric, such as 1000 or 1000:1000, not {text:?}: names mean another user in \
             each image"
        ));
        return None;
    };
    at.check(limits.root_user || (uid != 0 && gid != 0), || {
        "must not be root; leave `user` out for one of the project's own range, or let the \
         administrator set `orchestrator.root_user`"
            .to_owned()
    });
    Some(User { uid, gid })
}

fn restart(wire: v1::Restart, one_shot: bool, mut at: At<'_>) -> Restart {
    let default = defaults::restart(one_shot);
    let policy = word::read(at.field("policy"), &wire.policy, default.policy, RESTART_POLICIES);
    at.field("policy").check(!(one_shot && policy == RestartPolicy::Always), || {
        "must be on-failure or never: a service that ends by design would run for ever".to_owned()
    });
    at.field("attempts").check(wire.attempts <= defaults::ATTEMPTS_MAX, || {
        format!("must be at most {}", defaults::ATTEMPTS_MAX)
    });
    let attempts = if wire.attempts == 0 { default.attempts } else { wire.attempts };
    Restart { policy, attempts }
}

fn stop(wire: v1::Stop, mut at: At<'_>) -> Stop {
    let signal = match wire.signal.to_ascii_uppercase() {
        empty if empty.is_empty() => defaults::STOP_SIGNAL.to_owned(),
        signal if signal.starts_with("SIG") => signal,
        short => format!("SIG{short}"),
    };
    at.field("signal").check(SIGNALS.contains(&signal.as_str()), || {
        format!("must be one of {}, not {signal:?}", SIGNALS.join(", "))
    });
    let grace =
        probe::duration(wire.grace, defaults::STOP_GRACE, defaults::STOP_GRACES, at.field("grace"));
    Stop { signal, grace }
}

fn scan(wire: v1::ScanPolicy, mut at: At<'_>) -> Scan {
    let default = defaults::SCAN;
    Scan {
        policy: word::read(at.field("policy"), &wire.policy, default.policy, SCAN_POLICIES),
        severity: word::read(at.field("severity"), &wire.severity, default.severity, SEVERITIES),
    }
}
