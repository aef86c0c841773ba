//! What is there: a project's containers, networks and volumes as the Engine shows them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use ipnet::Ipv4Net;

/// Everything that carries a project's labels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// In no order.
    pub containers: Vec<Container>,
    /// In no order.
    pub networks: Vec<Network>,
    /// In no order.
    pub volumes: Vec<Volume>,
}

impl Observed {
    /// The containers of a service; more than one while one replaces another.
    pub fn of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Container> {
        self.containers.iter().filter(move |it| it.service == service)
    }

    /// A network of the project by its name in the stack.
    #[must_use]
    pub fn network(&self, network: &str) -> Option<&Network> {
        self.networks.iter().find(|it| it.network == network)
    }
}

/// A container of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The Engine's id.
    pub id: String,
    /// Its name, without the slash.
    pub name: String,
    /// From its label.
    pub service: String,
    /// From its label.
    pub generation: u64,
    /// From its label.
    pub config_hash: String,
    /// What the Engine calls the image that it runs.
    pub image: String,
    /// What its process does.
    pub state: State,
    /// When the Engine made it.
    pub created_at: Option<DateTime<Utc>>,
    /// When its process last started; none before the first start.
    pub started_at: Option<DateTime<Utc>>,
    /// When its process last ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Of its last end; meaningless while it runs.
    pub exit_code: i64,
    /// The kernel ended it because of its memory limit.
    pub oom_killed: bool,
    /// Why the Engine could not start it.
    pub error: String,
    /// The limits in force.
    pub limits: Limits,
    /// By the network's name in Docker.
    pub networks: BTreeMap<String, Endpoint>,
    /// `127.0.0.1:8080->80/tcp`.
    pub published: Vec<String>,
    /// Of its first process, on the host; 0 when there is none.
    pub pid: i64,
}

impl Container {
    /// Whether it only holds something for a moment, and is no service's.
    #[must_use]
    pub fn is_helper(&self) -> bool {
        self.service.is_empty()
    }

    /// Whether a process is there that can be asked or stopped.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Running | State::Paused | State::Restarting)
    }

    /// Whether its process ran and ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.state == State::Exited && self.started_at.is_some()
    }

    /// An address at which it can be reached from the host.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.networks.values().find_map(|it| it.address)
    }
}

/// What a container's process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the Engine's own words")]
pub enum State {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
}

/// The limits that can be changed while a container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Thousandths of a CPU.
    pub cpu_millis: u32,
    /// Memory and swap together.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u32,
}

/// A container's place in a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The Engine's id of the network; empty before the first start.
    pub network_id: String,
    /// While it runs.
    pub address: Option<IpAddr>,
}

/// A network of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The Engine's id.
    pub id: String,
    /// Its name in Docker.
    pub name: String,
    /// Its name in the stack.
    pub network: String,
    /// No route out.
    pub internal: bool,
    /// Its addresses.
    pub subnet: Option<Ipv4Net>,
}

/// A volume of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name in Docker, which is also its id.
    pub name: String,
    /// Its name in the stack; empty for one that holds files.
    pub volume: String,
    /// The service whose files it holds; empty for one of the stack's own.
    pub files_of: String,
}
