//! Why a command failed, and the exit code that tells scripts.

use std::{error::Error as _, io, path::PathBuf};

use crate::client::Problem;

/// What a command ends with when it cannot do what it was told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line does not make sense as a whole.
    #[error("{0}")]
    Usage(String),
    /// No instance runs with the data directory.
    #[error(
        "no CommandCenter runs with the data directory {}. Start one with \
         `commandcenter up`, name its directory with --data-dir or COMMANDCENTER_DATA_DIR, or set \
         COMMANDCENTER_URL and COMMANDCENTER_TOKEN_FILE", .dir.display()
    )]
    NoInstance {
        /// The data directory.
        dir: PathBuf,
    },
    /// A file that the command needs cannot be read.
    #[error("cannot read {what} {}; {remedy}", .path.display())]
    Unreadable {
        /// What the file is.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What to do about it.
        remedy: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nobody answers at the address.
    #[error("{url} does not answer; is it running? `commandcenter doctor` looks for the cause")]
    Unreachable {
        /// The address.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It took longer than the command was told to wait.
    #[error("{what} took longer than {seconds} s; {remedy}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// The limit.
        seconds: u64,
        /// What to do about it.
        remedy: &'static str,
    },
    /// Something answered, but not as our REST API does.
    #[error("{url} answers, but not as CommandCenter does: {why}; check the address")]
    Foreign {
        /// The address.
        url: String,
        /// What is odd.
        why: String,
    },
    /// The API refused.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// No object has that name.
    #[error("there is no {what} {name:?}; {remedy}")]
    NoSuch {
        /// The kind of object.
        what: &'static str,
        /// The name that was given.
        name: String,
        /// How to find the right one.
        remedy: &'static str,
    },
    /// Several objects have that name.
    #[error("{count} {what} are named {name:?}; give the id of one: {ids}")]
    Ambiguous {
        /// The kind of object.
        what: &'static str,
        /// The name that was given.
        name: String,
        /// How many.
        count: usize,
        /// Their ids.
        ids: String,
    },
    /// The command ran, and what it found or did is not as it should be.
    #[error("{0}")]
    Failed(String),
    /// The result cannot be written.
    #[error("cannot write the result")]
    Output(#[source] io::Error),
}

impl Error {
    /// 1 failure, 2 usage, 3 not found, 4 not allowed, 5 conflict, 6 unavailable or too slow.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::NoInstance { .. } | Self::Unreachable { .. } | Self::TimedOut { .. } => 6,
            Self::Unreadable { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => 3,
                io::ErrorKind::PermissionDenied => 4,
                _ => 1,
            },
            Self::Refused(problem) => problem.exit_code(),
            Self::NoSuch { .. } => 3,
            Self::Ambiguous { .. } => 5,
            Self::Foreign { .. } | Self::Failed(_) | Self::Output(_) => 1,
        }
    }

    /// Whether the same request may succeed later without anyone changing anything.
    pub(crate) fn may_pass(&self) -> bool {
        self.exit_code() == 6
    }

    /// The message with the innermost cause, which is the one that tells a person something.
    pub(crate) fn report(&self) -> String {
        let mut innermost = self.source();
        while let Some(next) = innermost.and_then(|error| error.source()) {
            innermost = Some(next);
        }
        match innermost {
            Some(cause) => format!("{self} ({cause})"),
            None => self.to_string(),
        }
    }
}
