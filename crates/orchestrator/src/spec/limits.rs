//! What the administrator allows beyond the defaults. A spec can never widen it.

use std::path::PathBuf;

/// Every capability that Linux knows, without `CAP_`.
const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// What a spec may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Folders of the host below which binds may lie; empty: no binds. Symbolic links are the
    /// Engine host's to resolve, so a root must not be writable by those who declare stacks.
    pub bind_roots: Vec<PathBuf>,
    /// Capabilities that a service may be given back, without `CAP_`.
    pub capabilities: Vec<String>,
    /// Whether a service may run as uid 0.
    pub root_user: bool,
}

impl Default for Limits {
    /// A server may listen on a low port; nothing else.
    fn default() -> Self {
        Self {
            bind_roots: Vec::new(),
            capabilities: vec!["NET_BIND_SERVICE".to_owned()],
            root_user: false,
        }
    }
}

impl Limits {
    /// The widest that any administrator can set. A client checks with these before it sends a
    /// spec: what even they refuse, no server accepts.
    #[must_use]
    pub fn widest() -> Self {
        Self {
            bind_roots: vec![PathBuf::from("/")],
            capabilities: CAPABILITIES.map(str::to_owned).to_vec(),
            root_user: true,
        }
    }
}
