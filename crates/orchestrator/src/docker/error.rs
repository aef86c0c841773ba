//! What goes wrong with the Engine.

use std::path::Path;
use std::time::Duration;

use bollard::errors::Error as Library;
use proto::failure::chain;

/// Why a call did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nobody answered, or the connection broke.
    #[error(
        "the Docker daemon at {socket} cannot be reached for {what}: {why}; check that it runs and \
         that this process may use the socket"
    )]
    Unreachable {
        /// The call.
        what: &'static str,
        /// Where we looked.
        socket: String,
        /// The transport's words.
        why: String,
    },
    /// No answer in time; whether it was done is not known.
    #[error(
        "the Docker daemon did not answer {what} within {} s; check how busy its host is",
        .after.as_secs()
    )]
    Timeout {
        /// The call.
        what: &'static str,
        /// The limit.
        after: Duration,
    },
    /// It did not answer lately, and is not asked for a while.
    #[error("the Docker daemon is not asked for {what} for a while, as it did not answer: {why}")]
    Open {
        /// The call.
        what: &'static str,
        /// When it is asked again.
        retry_after: Duration,
        /// What was wrong last.
        why: String,
    },
    /// The Engine is older than what we need.
    #[error(
        "the Docker daemon speaks API {api}, and 1.41 is needed: install Engine 20.10 or newer"
    )]
    TooOld {
        /// Its version.
        api: String,
    },
    /// The Engine understood and refused.
    #[error("Docker refused {what} ({status}): {message}")]
    Refused {
        /// The call.
        what: &'static str,
        /// HTTP status.
        status: u16,
        /// The Engine's words.
        message: String,
    },
    /// The Engine's answer makes no sense to us.
    #[error("Docker's answer to {what} cannot be read: {why}")]
    Malformed {
        /// The call.
        what: &'static str,
        /// Where and why.
        why: String,
    },
}

impl Error {
    pub(crate) fn malformed(what: &'static str, why: impl Into<String>) -> Self {
        Self::Malformed { what, why: why.into() }
    }

    pub(crate) fn from_library(what: &'static str, socket: &Path, error: Library) -> Self {
        let socket = socket.display().to_string();
        match error {
            Library::DockerResponseServerError { status_code, message } => {
                Self::Refused { what, status: status_code, message }
            }
            Library::RequestTimeoutError => Self::Timeout { what, after: Duration::ZERO },
            Library::SocketNotFoundError(_) => {
                Self::Unreachable { what, socket, why: "there is no such socket".to_owned() }
            }
            Library::IOError { .. }
            | Library::HyperResponseError { .. }
            | Library::HyperLegacyError { .. } => {
                Self::Unreachable { what, socket, why: chain(&error) }
            }
            error => Self::malformed(what, chain(&error)),
        }
    }

    /// Whether the daemon itself is the trouble, and not what was asked of it.
    #[must_use]
    pub fn is_transport(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout { .. } | Self::Open { .. })
    }

    /// What went wrong in a word, for metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Timeout { .. } => "timeout",
            Self::Open { .. } => "skipped",
            Self::TooOld { .. } => "too_old",
            Self::Refused { .. } => "refused",
            Self::Malformed { .. } => "malformed",
        }
    }

    /// The HTTP status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// There is no such thing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// The name is taken, or the thing is in a state that does not allow it.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.status() == Some(409)
    }
}
