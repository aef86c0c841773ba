//! Ends a server that a killed process left behind.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use super::Error;
use super::supervise::{Program, STOP_WITHIN};

const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Ends the server that `pid_file` names on its first line, if there is such a file and the
/// process is what we think it is: pids are used again.
pub(super) async fn end(program: &Program, pid_file: &Path) -> Result<(), Error> {
    let Some(pid) = first_line(pid_file) else {
        return Ok(());
    };
    if is_ours(program, pid) {
        tracing::info!(server = program.name, pid, "ending a server that a killed process left");
        for signal in [program.quit, Signal::SIGKILL] {
            kill(Pid::from_raw(pid), signal).ok(); // it may end by itself meanwhile
            if gone(program, pid).await {
                break;
            }
        }
        if is_ours(program, pid) {
            return Err(Error::Leftover { server: program.name, pid });
        }
    }
    // Postgres would refuse to start if another program had this pid by now.
    fs::remove_file(pid_file).ok();
    Ok(())
}

fn first_line(pid_file: &Path) -> Option<i32> {
    fs::read_to_string(pid_file).ok()?.lines().next()?.trim().parse().ok()
}

async fn gone(program: &Program, pid: i32) -> bool {
    let end = Instant::now() + STOP_WITHIN;
    while is_ours(program, pid) {
        if Instant::now() > end {
            return false;
        }
        sleep(LOOK_INTERVAL).await;
    }
    true
}

/// Whether the process runs this program for this data directory. A zombie has no command line.
fn is_ours(program: &Program, pid: i32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut arguments = line.split(|byte| *byte == 0);
    let name = arguments.next().and_then(|it| it.rsplit(|byte| *byte == b'/').next());
    let executable = program.executable.file_name().map(|it| it.as_encoded_bytes());
    let folder = program.folder.as_os_str().as_encoded_bytes();
    name.is_some() && name == executable && arguments.any(|it| it.starts_with(folder))
}
