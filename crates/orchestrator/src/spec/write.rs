//! Writes a stack to the wire: the exact inverse of [`read`](super::read).

use std::time::Duration;

use proto::orchestrator::v1::{self, probe::Kind};

use super::{
    Check, Dependency, Mount, MountKind, Port, Probe, Service, Stack, User,
    word::{self, CONDITIONS, ON_RESTART, PROTOCOLS, RESTART_POLICIES, SCAN_POLICIES, SEVERITIES},
};

/// The canonical form of a stack: everything is said, and the same stack has the same bytes.
#[must_use]
pub fn write(stack: &Stack) -> v1::StackSpec {
    let network = |(name, network): (&String, &super::Network)| v1::NetworkSpec {
        name: name.clone(),
        internal: network.internal,
    };
    let config = |(name, content): (&String, &Vec<u8>)| v1::ConfigSpec {
        name: name.clone(),
        content: content.clone(),
    };
    v1::StackSpec {
        services: stack.services.values().map(service).collect(),
        networks: stack.networks.iter().map(network).collect(),
        volumes: stack.volumes.iter().map(|name| v1::VolumeSpec { name: name.clone() }).collect(),
        configs: stack.configs.iter().map(config).collect(),
    }
}

/// The canonical form of a service.
pub(super) fn service(service: &Service) -> v1::ServiceSpec {
    let Service { restart, stop, scan, .. } = service;
    v1::ServiceSpec {
        name: service.name.clone(),
        image: service.image.clone(),
        entrypoint: service.entrypoint.clone(),
        command: service.command.clone(),
        working_dir: service.working_dir.clone(),
        environment: service.environment.clone(),
        secrets: service.secrets.iter().map(secret).collect(),
        configs: service.configs.iter().map(config).collect(),
        networks: service.networks.iter().map(attachment).collect(),
        ports: service.ports.iter().map(port).collect(),
        mounts: service.mounts.iter().map(mount).collect(),
        depends_on: service.depends_on.iter().map(dependency).collect(),
        resources: Some(resources(&service.resources)),
        hardening: Some(hardening(&service.hardening)),
        probes: Some(probes(&service.probes)),
        restart: Some(v1::Restart {
            policy: word::write(&restart.policy, RESTART_POLICIES),
            attempts: restart.attempts,
        }),
        stop: Some(v1::Stop { signal: stop.signal.clone(), grace: Some(duration(stop.grace)) }),
        labels: service.labels.clone(),
        hostname: service.hostname.clone(),
        init: service.init,
        scan: Some(v1::ScanPolicy {
            policy: word::write(&scan.policy, SCAN_POLICIES),
            severity: word::write(&scan.severity, SEVERITIES),
        }),
        one_shot: service.one_shot,
    }
}

fn resources(resources: &super::Resources) -> v1::Resources {
    let super::Resources { cpu_millis, memory_bytes, pids, shm_bytes } = *resources;
    v1::Resources { cpu_millis, memory_bytes, pids, shm_bytes }
}

fn hardening(hardening: &super::Hardening) -> v1::Hardening {
    v1::Hardening {
        user: hardening.user.map(|User { uid, gid }| format!("{uid}:{gid}")).unwrap_or_default(),
        read_only: Some(hardening.read_only),
        cap_add: hardening.cap_add.clone(),
    }
}

fn probes(probes: &super::Probes) -> v1::Probes {
    v1::Probes {
        startup: probes.startup.as_ref().map(probe),
        readiness: probes.readiness.as_ref().map(probe),
        liveness: probes.liveness.as_ref().map(probe),
    }
}

fn secret(secret: &super::SecretMount) -> v1::SecretMount {
    let target = secret.target.clone();
    v1::SecretMount { name: secret.name.clone(), target, mode: Some(secret.mode) }
}

fn config(config: &super::ConfigMount) -> v1::ConfigMount {
    let target = config.target.clone();
    v1::ConfigMount { name: config.name.clone(), target, mode: Some(config.mode) }
}

fn attachment(attachment: &super::Attachment) -> v1::NetworkAttachment {
    v1::NetworkAttachment { name: attachment.network.clone(), aliases: attachment.aliases.clone() }
}

fn port(port: &Port) -> v1::Port {
    v1::Port {
        container: u32::from(port.container),
        host: port.host.map(u32::from).unwrap_or_default(),
        host_ip: port.host_ip.to_string(),
        protocol: word::write(&port.protocol, PROTOCOLS),
    }
}

fn mount(mount: &Mount) -> v1::Mount {
    let (kind, source, size_bytes) = match &mount.kind {
        MountKind::Volume(name) => ("volume", name.clone(), 0),
        MountKind::Bind(path) => ("bind", path.clone(), 0),
        MountKind::Tmpfs(size) => ("tmpfs", String::new(), *size),
    };
    let kind = kind.to_owned();
    let target = mount.target.clone();
    v1::Mount { kind, source, target, read_only: mount.read_only, size_bytes }
}

fn dependency(dependency: &Dependency) -> v1::Dependency {
    v1::Dependency {
        service: dependency.service.clone(),
        condition: word::write(&dependency.condition, CONDITIONS),
        required: Some(dependency.required),
        on_restart: word::write(&dependency.restart, ON_RESTART),
    }
}

fn probe(probe: &Probe) -> v1::Probe {
    let kind = match &probe.check {
        Check::Exec(command) => Kind::Exec(v1::ExecProbe { command: command.clone() }),
        Check::Http { port, path, status } => Kind::Http(v1::HttpProbe {
            port: u32::from(*port),
            path: path.clone(),
            status: status.map(u32::from).unwrap_or_default(),
        }),
        Check::Tcp(port) => Kind::Tcp(v1::TcpProbe { port: u32::from(*port) }),
        Check::Postgres(port) => Kind::Postgres(v1::PostgresProbe { port: u32::from(*port) }),
        Check::Redis(port) => Kind::Redis(v1::RedisProbe { port: u32::from(*port) }),
    };
    v1::Probe {
        kind: Some(kind),
        period: Some(duration(probe.period)),
        timeout: Some(duration(probe.timeout)),
        failures: probe.failures,
        successes: probe.successes,
        deadline: (!probe.deadline.is_zero()).then(|| duration(probe.deadline)),
    }
}

fn duration(length: Duration) -> prost_types::Duration {
    // The bounds of every length of time in a spec lie far below those of the wire.
    length.try_into().unwrap_or_default()
}
