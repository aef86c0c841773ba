//! Temporary data directories, and the end of those that a killed process left behind.

use std::{
    env, fs,
    fs::File,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use nix::{errno::Errno, sys::signal::kill, unistd::Pid, unistd::geteuid};
use tempfile::TempDir;

use super::{Error, data_dir, leftover, nats, postgres};

/// What their names begin with.
const PREFIX: &str = "commandcenter-";

/// Folders that one start removes, at most; the next start goes on.
const SWEPT_MAX: usize = 32;

/// Makes a folder that goes with the value.
pub(super) fn make() -> Result<TempDir, Error> {
    let made = tempfile::Builder::new().prefix(PREFIX).tempdir();
    made.map_err(Error::file("make a folder in", &env::temp_dir()))
}

/// Ends the servers of killed processes and removes their folders, as far as that is possible.
pub(super) async fn sweep(temporary: &Path) {
    let Ok(entries) = fs::read_dir(temporary) else { return };
    let ours = entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)));
    let stale = ours.map(|entry| entry.path()).filter_map(|path| Some((abandoned(&path)?, path)));
    for (_lock, path) in stale.take(SWEPT_MAX) {
        let ended = async {
            leftover::end(postgres::left(&path), &path.join(postgres::PID_FILE)).await?;
            leftover::end(nats::left(&path), &path.join(nats::PID_FILE)).await
        };
        let removed = ended
            .await
            .and_then(|()| fs::remove_dir_all(&path).map_err(Error::file("remove", &path)));
        match removed {
            Ok(()) => {
                tracing::info!(folder = %path.display(), "removed what a killed process left")
            }
            Err(error) => tracing::warn!(error = %error, "a temporary folder stays"),
        }
    }
}

/// The lock of a folder of ours whose process is gone without having removed it. A folder that is
/// being made has no lock yet, or one that names nobody.
fn abandoned(folder: &Path) -> Option<File> {
    let it = fs::symlink_metadata(folder).ok()?;
    let closed = it.permissions().mode() & 0o022 == 0;
    if !it.is_dir() || it.uid() != geteuid().as_raw() || !closed {
        return None;
    }
    let pid = data_dir::pid_of_lock(folder)?;
    if kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH) {
        return None;
    }
    let lock = File::open(folder.join(data_dir::LOCK_FILE)).ok()?;
    lock.try_lock().is_ok().then_some(lock)
}
