//! What the client may reach and how much it may take.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Section `fetch` of the configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Networks beyond the public Internet that may be reached, on any port, such as
    /// `10.1.0.0/16`. Empty by default.
    pub allow_networks: Vec<IpNet>,
    /// Longest time to connect, TLS included, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Longest time for everything: redirects and the whole body, in milliseconds.
    pub total_timeout_ms: u64,
    /// Largest body after decompression, in bytes.
    pub body_bytes_max: usize,
    /// Most redirects that are followed for one request.
    pub redirects_max: usize,
    /// Most bytes that one compressed byte may become, in bodies over 1 MiB.
    pub decompression_ratio_max: u64,
    /// How the client names itself. Publishers want to know whom to ask.
    pub user_agent: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allow_networks: Vec::new(),
            connect_timeout_ms: 5_000,
            total_timeout_ms: 20_000,
            body_bytes_max: 15 * 1024 * 1024,
            redirects_max: 5,
            decompression_ratio_max: 100,
            user_agent: concat!("CommandCenter/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}
