//! What an owner declares: a stack of services, with every default filled in.
//!
//! A [`Stack`] is complete and valid by construction: [`read`] is the only way from the wire, and
//! nothing in it names a path or a variable of the server. [`write`] is its exact inverse, so the
//! stored spec is the wire form of the effective one.

mod defaults;
mod fault;
mod hash;
mod limits;
mod name;
mod read;
mod secret;
#[cfg(test)]
mod tests;
mod word;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use proto::Failure;

pub use self::{hash::hash, limits::Limits, name::is_object, read::read, write::write};

/// Services of one stack, at most.
pub const SERVICES_MAX: usize = 50;

/// Content of all configs of one stack, in bytes.
pub const CONFIGS_BYTES_MAX: usize = 1024 * 1024;

/// A project's containers, networks and volumes as they shall be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stack {
    /// By name.
    pub services: BTreeMap<String, Service>,
    /// By name.
    pub networks: BTreeMap<String, Network>,
    /// Names.
    pub volumes: Vec<String>,
    /// Contents by name.
    pub configs: BTreeMap<String, Vec<u8>>,
}

impl Stack {
    /// Checks that the project has every secret that the stack mounts.
    ///
    /// # Errors
    /// `INVALID_INPUT` that names each mount of one that is not `known`.
    pub fn check_secrets(&self, known: &BTreeSet<String>) -> Result<(), Failure> {
        let mut faults = Vec::new();
        let mut at = fault::At::root(&mut faults);
        for (name, service) in &self.services {
            for (index, secret) in service.secrets.iter().enumerate() {
                at.field("services")
                    .field(name)
                    .field("secrets")
                    .index(index)
                    .field("name")
                    .check(known.contains(&secret.name), || {
                        format!("the project has no secret {:?}; put it first", secret.name)
                    });
            }
        }
        fault::settle((), faults)
    }
}

/// A service: one container that is replaced, never edited, except for its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Unique in the stack.
    pub name: String,
    /// As its owner wrote it.
    pub image: String,
    /// Empty: the image's own.
    pub entrypoint: Vec<String>,
    /// Empty: the image's own.
    pub command: Vec<String>,
    /// Empty: the image's own.
    pub working_dir: String,
    /// Never a secret.
    pub environment: BTreeMap<String, String>,
    /// Files on tmpfs.
    pub secrets: Vec<SecretMount>,
    /// Files that are no secret.
    pub configs: Vec<ConfigMount>,
    /// At least one.
    pub networks: Vec<Attachment>,
    /// Published on the host.
    pub ports: Vec<Port>,
    /// Volumes, binds and tmpfs.
    pub mounts: Vec<Mount>,
    /// What must be there before it starts.
    pub depends_on: Vec<Dependency>,
    /// Enforced limits.
    pub resources: Resources,
    /// What it may do, and who it is.
    pub hardening: Hardening,
    /// How its health is known.
    pub probes: Probes,
    /// What happens when it ends.
    pub restart: Restart,
    /// How it is stopped.
    pub stop: Stop,
    /// The owner's own labels; ours are apart.
    pub labels: BTreeMap<String, String>,
    /// Empty: the service's name.
    pub hostname: String,
    /// A small init reaps orphans.
    pub init: bool,
    /// When findings in the image stop it.
    pub scan: Scan,
    /// Ends by design: exit code 0 is success.
    pub one_shot: bool,
}

/// A network of the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// No route out.
    pub internal: bool,
}

/// A service's place in a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The network's name in the stack.
    pub network: String,
    /// Beside the service's own name.
    pub aliases: Vec<String>,
}

/// A secret as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretMount {
    /// The secret's name in the project.
    pub name: String,
    /// Absolute, under `/run/secrets`.
    pub target: String,
    /// Permission bits.
    pub mode: u32,
}

/// A config as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigMount {
    /// The config's name in the stack.
    pub name: String,
    /// Absolute.
    pub target: String,
    /// Permission bits.
    pub mode: u32,
}

/// A port on the host that leads to the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// Inside.
    pub container: u16,
    /// `None`: one that is free.
    pub host: Option<u16>,
    /// 127.0.0.1 unless declared.
    pub host_ip: IpAddr,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// Of a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Protocol {
    Tcp,
    Udp,
}

/// Something that appears in the container's file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What it is.
    pub kind: MountKind,
    /// Absolute.
    pub target: String,
    /// Not writable.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// A volume of the stack, by name.
    Volume(String),
    /// A folder of the host, inside one of the administrator's `bind_roots`.
    Bind(String),
    /// Memory, of this size in bytes.
    Tmpfs(u64),
}

/// An edge of the start order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The other service.
    pub service: String,
    /// What it must have reached.
    pub condition: Condition,
    /// Without it, nothing starts.
    pub required: bool,
    /// Restart with it.
    pub restart: bool,
}

/// What a dependency must have reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Its process runs.
    Started,
    /// Its readiness probe succeeds; without a probe, its process runs.
    Healthy,
    /// It ended with exit code 0.
    Completed,
}

/// Enforced by the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a CPU.
    pub cpu_millis: u32,
    /// Memory and swap together.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u32,
    /// Of `/dev/shm`.
    pub shm_bytes: u64,
}

/// What the container may do. Every value that is weaker than the default is an exception that the
/// hardening report shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hardening {
    /// `None`: one of the project's own range.
    pub user: Option<User>,
    /// Root file system.
    pub read_only: bool,
    /// Given back of those that are all dropped.
    pub cap_add: Vec<String>,
}

/// Numeric, so that it means the same inside and outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

/// The three probes; each is optional.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Probes {
    /// Gates the other two; its deadline bounds the start.
    pub startup: Option<Probe>,
    /// Whether it can serve now.
    pub readiness: Option<Probe>,
    /// Whether only a restart can mend it.
    pub liveness: Option<Probe>,
}

/// A question that is asked again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The question.
    pub check: Check,
    /// From one answer to the next question. At start-up the first questions come faster.
    pub period: Duration,
    /// For one answer.
    pub timeout: Duration,
    /// Failures in a row that turn the verdict.
    pub failures: u32,
    /// Successes in a row that turn it back.
    pub successes: u32,
    /// Startup only, zero otherwise: after this the start has failed.
    pub deadline: Duration,
}

/// How a probe asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// A command in the container; exit code 0.
    Exec(Vec<String>),
    /// `GET`; this status, or any of 200 to 399.
    Http {
        /// Inside.
        port: u16,
        /// With its query.
        path: String,
        /// The one wanted.
        status: Option<u16>,
    },
    /// A connection.
    Tcp(u16),
    /// The start-up handshake, to the point where a real server asks for a password.
    Postgres(u16),
    /// `PING`; `PONG` and `NOAUTH` both prove a server that has loaded its data.
    Redis(u16),
}

/// What happens when the process ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// When.
    pub policy: RestartPolicy,
    /// Restarts within ten minutes before it is left failed.
    pub attempts: u32,
}

/// When an ended process is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Whatever its exit code.
    Always,
    /// Unless it is 0.
    OnFailure,
    /// Never.
    Never,
}

/// How a container is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Such as `SIGTERM`.
    pub signal: String,
    /// Until `SIGKILL`.
    pub grace: Duration,
}

/// When findings in the image stop a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// What follows from a finding.
    pub policy: ScanPolicy,
    /// The least severity that counts.
    pub severity: Severity,
}

/// What follows from a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanPolicy {
    /// Nothing is scanned.
    Off,
    /// It is shown.
    Warn,
    /// The image does not start; neither does one without a verdict.
    Block,
}

/// Of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}
