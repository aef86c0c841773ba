//! Ends a server that a killed process left behind.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use super::Error;
use super::supervise::STOP_WITHIN;

const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// How a server that was left behind is known again, and ended.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    pub(super) name: &'static str,
    /// The file name of its program.
    pub(super) executable: &'static str,
    /// What it names in its arguments.
    pub(super) folder: &'a Path,
    pub(super) quit: Signal,
}

/// Ends the server that `pid_file` names on its first line, if there is such a file and the
/// process is what we think it is: pids are used again.
pub(super) async fn end(left: Left<'_>, pid_file: &Path) -> Result<(), Error> {
    let Some(pid) = first_line(pid_file) else {
        return Ok(());
    };
    if is_ours(left, pid) {
        tracing::info!(server = left.name, pid, "ending a server that a killed process left");
        for signal in [left.quit, Signal::SIGKILL] {
            kill(Pid::from_raw(pid), signal).ok(); // it may end by itself meanwhile
            if gone(left, pid).await {
                break;
            }
        }
        if is_ours(left, pid) {
            return Err(Error::Leftover { server: left.name, pid });
        }
    }
    // Postgres would refuse to start if another program had this pid by now.
    fs::remove_file(pid_file).ok();
    Ok(())
}

fn first_line(pid_file: &Path) -> Option<i32> {
    fs::read_to_string(pid_file).ok()?.lines().next()?.trim().parse().ok()
}

async fn gone(left: Left<'_>, pid: i32) -> bool {
    let end = Instant::now() + STOP_WITHIN;
    while is_ours(left, pid) {
        if Instant::now() > end {
            return false;
        }
        sleep(LOOK_INTERVAL).await;
    }
    true
}

/// Whether the process runs this program for this data directory. A zombie has no command line.
fn is_ours(left: Left<'_>, pid: i32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut arguments = line.split(|byte| *byte == 0);
    let name = arguments.next().and_then(|it| it.rsplit(|byte| *byte == b'/').next());
    let folder = left.folder.as_os_str().as_encoded_bytes();
    name == Some(left.executable.as_bytes()) && arguments.any(|it| it.starts_with(folder))
}
