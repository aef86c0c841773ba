//! Section `telemetry`.

use serde::{Deserialize, Serialize};

/// What to log and where traces go.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A `tracing` filter, such as `info` or `info,jobs=debug`.
    pub log_filter: String,
    /// `text` for people, `json` for collectors. Logs go to standard error.
    pub log_format: LogFormat,
    /// OTLP over gRPC, such as `http://tempo:4317`; empty turns traces off.
    pub otlp_endpoint: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Readable columns.
    Text,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            log_filter: "info,sqlx=warn,async_nats=warn,h2=warn".to_owned(),
            log_format: LogFormat::Text,
            otlp_endpoint: String::new(),
        }
    }
}
