//! `[hub]` of the configuration.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

/// How the hub serves people and programs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the first administrator's API token is kept; written (0600) when its token is
    /// missing or no longer works. None: no such token is made.
    pub admin_token_file: Option<PathBuf>,
    /// Where the password of the user `admin` is kept; written (0600) when there is no user yet.
    pub admin_password_file: Option<PathBuf>,
    /// Service name to the file with its token; a missing file is written (0600).
    pub service_token_files: BTreeMap<String, PathBuf>,
    /// True when browsers reach the hub by TLS: cookies are then `Secure` and `__Host-`. None:
    /// as `http.tls_terminated_upstream` says.
    pub secure_cookies: Option<bool>,
    /// How long a browser stays signed in at most, in hours.
    pub session_h: u32,
    /// How long a browser stays signed in without being used, in hours.
    pub session_idle_h: u32,
    /// Sign-in attempts a minute from one address; a user name takes ten times as many failures
    /// a minute over all addresses.
    pub sign_in_per_minute: u32,
    /// Largest request body, in bytes; 100 documents of text fit their gRPC message of 16 MiB.
    pub body_bytes_max: usize,
    /// Live streams at a time, over all callers.
    pub event_streams_max: usize,
    /// Live streams at a time of one caller.
    pub event_streams_per_caller_max: usize,
    /// How long the audit log is kept, in days.
    pub audit_days: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            admin_token_file: None,
            admin_password_file: None,
            service_token_files: BTreeMap::new(),
            secure_cookies: None,
            session_h: 7 * 24,
            session_idle_h: 24,
            sign_in_per_minute: 10,
            body_bytes_max: 24 * 1024 * 1024,
            event_streams_max: 64,
            event_streams_per_caller_max: 8,
            audit_days: 365,
        }
    }
}
