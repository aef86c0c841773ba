//! Sections `http`, `grpc` and `admin`.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::config::Origin;

/// Where one server listens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listener {
    /// An address of this machine.
    pub address: IpAddr,
    /// The port; 0 picks a free one.
    pub port: u16,
    /// When the port is taken: try the next ones. Unless this is set, too, a port that somebody
    /// chose does not move.
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

impl Config {
    /// Lets only default ports move: `explained` says who chose which, as the loader tells it.
    #[must_use]
    pub fn keep_chosen_ports(mut self, explained: &BTreeMap<String, (String, Origin)>) -> Self {
        let listeners =
            [("http", &mut self.http), ("grpc", &mut self.grpc), ("admin", &mut self.admin)];
        for (section, listener) in listeners {
            let chosen = |key: &str| {
                let told = explained.get(&format!("{section}.{key}"));
                told.is_some_and(|(_, origin)| *origin != Origin::Default)
            };
            if chosen("port") && !chosen("port_may_move") {
                listener.port_may_move = false;
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_somebody_chose_does_not_move() {
        let origins = |keys: &[&str]| -> BTreeMap<String, (String, Origin)> {
            let env = |key: &&str| ((*key).to_owned(), (String::new(), Origin::Env("E".into())));
            keys.iter().map(env).collect()
        };
        for (chosen, moves) in [
            (&[][..], true),
            (&["grpc.port"], true),
            (&["http.port"], false),
            (&["http.port", "http.port_may_move"], true),
        ] {
            let config = Config::default().keep_chosen_ports(&origins(chosen));
            assert_eq!(config.http.port_may_move, moves, "{chosen:?}");
        }
    }
}
