//! The section `orchestrator` of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::logs;
use crate::scan;
use crate::spec::{Limits, User};

/// User ids that each project has for its own.
const UIDS_PER_PROJECT: u32 = 16;

/// Leaves nine hexadecimal digits of a bridge's name, of fifteen characters in all.
const BRIDGES_MAX: usize = 6;

/// How stacks are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The Docker Engine's socket.
    pub docker_socket: PathBuf,
    /// The pool of addresses that projects' networks get theirs from.
    pub subnets: String,
    /// How the names of networks' bridges begin, two to six lower-case letters and digits: rules of
    /// the host's packet filter keep what comes from them away from the host. Empty: no rules.
    pub bridges: String,
    /// The first user id of the first project.
    pub uid_base: u32,
    /// Folders of the host below which a spec may bind; empty: nowhere.
    pub bind_roots: Vec<PathBuf>,
    /// Capabilities that a spec may ask for, without `CAP_`.
    pub capabilities: Vec<String>,
    /// Whether a spec may ask for uid 0.
    pub root_user: bool,
    /// After this long without a sign of life, another orchestrator takes over.
    pub lease_ms: u64,
    /// How often everything is looked at although nothing happened; drawn apart by a fifth.
    pub resync_ms: u64,
    /// The key that seals secrets, shared by all replicas; made when there is none. `commandcenter
    /// up` has one of its own.
    pub seal_key_file: Option<PathBuf>,
    /// What carries our label and belongs to no project is removed after this long.
    pub dangling_grace_ms: u64,
    /// Where the services' logs are kept, and how much of them.
    pub logs: logs::Config,
    /// How images are scanned for known vulnerabilities.
    pub scan: scan::Config,
}

impl Default for Config {
    fn default() -> Self {
        let Limits { bind_roots, capabilities, root_user } = Limits::default();
        Self {
            docker_socket: "/var/run/docker.sock".into(),
            subnets: "10.201.0.0/16".to_owned(),
            bridges: "cmdc".to_owned(),
            uid_base: 20_000,
            bind_roots,
            capabilities,
            root_user,
            lease_ms: 6_000,
            resync_ms: 30_000,
            seal_key_file: None,
            dangling_grace_ms: 300_000,
            logs: logs::Config::default(),
            scan: scan::Config::default(),
        }
    }
}

impl Config {
    /// What a spec may ask for.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            bind_roots: self.bind_roots.clone(),
            capabilities: self.capabilities.clone(),
            root_user: self.root_user,
        }
    }

    /// The pool of subnets.
    ///
    /// # Errors
    /// When it is no IPv4 network.
    pub fn pool(&self) -> anyhow::Result<Ipv4Net> {
        self.subnets.parse().map_err(|_| {
            anyhow::anyhow!(
                "orchestrator.subnets is {:?}: write an IPv4 network such as 10.201.0.0/16",
                self.subnets
            )
        })
    }

    /// Checks the prefix of bridges' names.
    ///
    /// # Errors
    /// When no name of a bridge can begin so.
    pub fn check_bridges(&self) -> anyhow::Result<()> {
        let plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit();
        let fits = (2..=BRIDGES_MAX).contains(&self.bridges.len());
        anyhow::ensure!(
            self.bridges.is_empty() || (fits && self.bridges.bytes().all(plain)),
            "orchestrator.bridges is {:?}: write two to six lower-case letters and digits, or \
             nothing",
            self.bridges
        );
        Ok(())
    }

    /// Who a project's services are, unless they say otherwise.
    #[must_use]
    pub fn user(&self, number: i32) -> User {
        let number = u32::try_from(number).unwrap_or(0);
        let uid = self.uid_base.saturating_add(number.saturating_mul(UIDS_PER_PROJECT));
        User { uid, gid: uid }
    }

    /// How long a lease is good for.
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    /// For how long an object may belong to nobody.
    #[must_use]
    pub fn dangling_grace(&self) -> Duration {
        Duration::from_millis(self.dangling_grace_ms)
    }

    /// From one full look to the next.
    #[must_use]
    pub fn resync(&self) -> Duration {
        Duration::from_millis(self.resync_ms)
    }
}
