//! Why the servers cannot be had.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::Status;

/// How much of a server's log an error repeats.
const LOG_LINES_SHOWN: usize = 8;

/// Why the servers cannot be had; each text ends with what helps.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say it")]
pub enum Error {
    #[error(
        "the data directory {} is in use by process {pid}: stop that `commandcenter up` first, or \
         choose another directory with --data-dir", dir.display()
    )]
    InUse { dir: PathBuf, pid: String },
    #[error("the start was interrupted; no server runs")]
    Interrupted,
    #[error(
        "the servers run as the account {account}, which cannot enter {}: allow it with \
         `chmod o+x`, or choose a directory that it can reach, as /var/lib/commandcenter",
        folder.display()
    )]
    Closed { account: String, folder: PathBuf },
    #[error(
        "there is no {}: fetch the programs with scripts/runtime and name their folder with \
         --runtime-dir, or set DATABASE_URL and NATS_URL to servers of your own",
        program.display()
    )]
    NoProgram { program: PathBuf },
    #[error(
        "the data directory {} cannot hold a socket: its path must be UTF-8 of at most {bytes_max} \
         bytes; choose a shorter one with --data-dir", dir.display()
    )]
    Path { dir: PathBuf, bytes_max: usize },
    #[error(
        "every port tried in {ports:?} is taken: free one, or set NATS_URL to a server of your own"
    )]
    NoPort { ports: Range<u16> },
    #[error("cannot {action} {}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{program} failed, see what it said: {output}")]
    Failed { program: &'static str, output: String },
    #[error(
        "{server} does not become ready ({why}); the end of its log {}:\n{tail}", log.display()
    )]
    NotReady { server: &'static str, why: String, log: PathBuf, tail: String },
    #[error(
        "process {pid}, a {server} left behind by an earlier run, does not end even by force: \
         end it by hand"
    )]
    Leftover { server: &'static str, pid: i32 },
    #[error(
        "Postgres runs, but its database cannot be set up with the password in {}; \
         if that file was lost or replaced, restore it", password_file.display()
    )]
    Database {
        password_file: PathBuf,
        #[source]
        source: sqlx::Error,
    },
}

impl Error {
    /// Makes the error of an action on a file or folder.
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    pub(super) fn not_ready(status: &Status) -> Self {
        let log = std::fs::read(&status.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n");
        let why = status.last_end.clone().unwrap_or_else(|| "it takes too long".to_owned());
        Self::NotReady { server: status.name, why, log: status.log.clone(), tail }
    }
}
