//! Sections `http`, `grpc` and `admin`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Where one server listens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listener {
    /// An address of this machine.
    pub address: IpAddr,
    /// The port; 0 picks a free one.
    pub port: u16,
    /// When the port is taken: try the next ones (a default port moves, a chosen one does not).
    pub port_may_move: bool,
    /// Another program in front terminates TLS; demanded for an address beyond loopback.
    pub tls_terminated_upstream: bool,
}

impl Listener {
    /// Loopback on a default port, which may move.
    #[must_use]
    pub fn on_loopback(port: u16) -> Self {
        Self {
            address: IpAddr::from([127, 0, 0, 1]),
            port,
            port_may_move: true,
            tls_terminated_upstream: false,
        }
    }
}

impl Default for Listener {
    fn default() -> Self {
        Self::on_loopback(0)
    }
}

/// The listeners of a process.
#[derive(Debug, Clone)]
pub struct Config {
    /// Pages and REST.
    pub http: Listener,
    /// gRPC.
    pub grpc: Listener,
    /// `/livez`, `/readyz`, `/metrics`.
    pub admin: Listener,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: Listener::on_loopback(8080),
            grpc: Listener::on_loopback(8081),
            admin: Listener::on_loopback(8083),
        }
    }
}
