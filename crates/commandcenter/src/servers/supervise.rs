//! Starts a program, watches it, restarts it with backoff, and ends it.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use chassis::Shutdown;
use chassis::readiness::State;
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::account::Account;

/// How long a program may take to end in good order.
pub(super) const STOP_WITHIN: Duration = Duration::from_secs(10);

const RESTART_DELAY: Duration = Duration::from_secs(1);
const RESTART_DELAY_MAX: Duration = Duration::from_secs(30);
/// After this long without a failure, the next one counts as the first.
const STABLE_AFTER: Duration = Duration::from_secs(60);

const READY_LOOK_INTERVAL: Duration = Duration::from_millis(15);
const LOG_LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// A log that has grown beyond this is moved aside, over the one moved before.
const LOG_BYTES_MAX: u64 = 10 << 20;

/// Answers whether the process with this pid accepts connections.
pub(super) type Probe = Arc<dyn Fn(u32) -> BoxFuture<'static, bool> + Send + Sync>;

/// A program to run and how to treat it.
#[derive(Clone)]
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) executable: PathBuf,
    pub(super) arguments: Vec<OsString>,
    /// What it works in.
    pub(super) folder: PathBuf,
    pub(super) account: Account,
    pub(super) log: PathBuf,
    /// What ends it in good order.
    pub(super) quit: Signal,
    pub(super) ready: Probe,
}

impl Program {
    /// A child in a process group of its own, so that Ctrl-C on the terminal reaches us alone.
    fn spawn(&self) -> io::Result<Child> {
        let mut options = OpenOptions::new();
        let log = options.append(true).create(true).mode(0o600).open(&self.log)?;
        let mut command = self.command(&self.executable);
        command.args(&self.arguments).stdout(log.try_clone()?).stderr(log);
        command.process_group(0).kill_on_drop(true).spawn()
    }

    /// A command that runs as the program's account and knows nothing of our environment.
    pub(super) fn command(&self, executable: &Path) -> Command {
        let mut command = Command::new(executable);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8");
        command.current_dir(&self.folder).stdin(Stdio::null());
        self.account.run(&mut command);
        command
    }
}

/// How a server is.
#[derive(Clone, Debug)]
pub struct Status {
    /// `postgres` or `nats`.
    pub name: &'static str,
    /// Its process; `None` while it is down.
    pub pid: Option<u32>,
    /// Whether it accepts connections.
    pub ready: bool,
    /// Since when the process runs, or is down.
    pub since: DateTime<Utc>,
    /// How often it ended by itself.
    pub restarts: u32,
    /// How it ended the last time, if it did.
    pub last_end: Option<String>,
    /// Where it logs to.
    pub log: PathBuf,
}

impl Status {
    pub(super) fn new(program: &Program) -> Self {
        Self {
            name: program.name,
            pid: None,
            ready: false,
            since: Utc::now(),
            restarts: 0,
            last_end: None,
            log: program.log.clone(),
        }
    }
}

impl Status {
    /// What it means for those who need the server.
    pub(super) fn state(&self) -> State {
        match (self.pid, &self.last_end) {
            (Some(_), _) if self.ready => State::Ready,
            (None, Some(end)) => State::Failed(format!(
                "it ended by itself ({end}) and is started again; {} says more",
                self.log.display()
            )),
            _ => State::Starting,
        }
    }
}

/// Keeps `program` running until `stop`, and then ends it.
pub(super) async fn supervise(program: Program, status: watch::Sender<Status>, stop: Shutdown) {
    let mut failures = 0;
    loop {
        let began = Instant::now();
        let Some(end) = run(&program, &status, &stop).await else {
            return;
        };
        failures = if began.elapsed() < STABLE_AFTER { failures + 1 } else { 1 };
        let delay = restart_delay(failures);
        tracing::error!(
            server = program.name,
            end,
            delay_ms = delay.as_millis(),
            log = %program.log.display(),
            "a server ended by itself and is restarted"
        );
        status.send_modify(|now| {
            let restarts = now.restarts + 1;
            *now = Status { restarts, last_end: Some(end), ..Status::new(&program) };
        });
        tokio::select! {
            () = sleep(delay) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// 1 s, 2 s, 4 s … after the first, second, third failure in a row.
fn restart_delay(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(u32::BITS - 1);
    RESTART_DELAY.saturating_mul(1 << doublings).min(RESTART_DELAY_MAX)
}

/// Runs the program once. Answers how it ended by itself; `None` when we were told to stop.
async fn run(program: &Program, status: &watch::Sender<Status>, stop: &Shutdown) -> Option<String> {
    let mut child = match program.spawn() {
        Ok(child) => child,
        Err(error) => return Some(format!("it cannot be started: {error}")),
    };
    let pid = child.id().expect("a child that nobody has waited for has a pid");
    let mut ready = false;
    status.send_modify(|now| (now.pid, now.since) = (Some(pid), Utc::now()));
    loop {
        let pause = if ready { LOG_LOOK_INTERVAL } else { READY_LOOK_INTERVAL };
        tokio::select! {
            end = child.wait() => {
                let said = end.map(|status| status.to_string());
                return Some(said.unwrap_or_else(|error| error.to_string()));
            }
            () = stop.cancelled() => {
                end(program, &mut child, pid).await;
                return None;
            }
            () = sleep(pause) => {
                bound_log(&program.log).await;
                if !ready && (program.ready)(pid).await {
                    ready = true;
                    status.send_modify(|now| now.ready = true);
                }
            }
        }
    }
}

async fn end(program: &Program, child: &mut Child, pid: u32) {
    if let Ok(pid) = i32::try_from(pid) {
        kill(Pid::from_raw(pid), program.quit).ok(); // it may have ended by itself just now
    }
    if timeout(STOP_WITHIN, child.wait()).await.is_err() {
        tracing::warn!(server = program.name, "a server does not end in time and is killed");
        child.kill().await.ok();
    }
}

/// Moves the content of a log that has grown too big aside. The program appends, so it goes on at
/// the start of the emptied file; what it writes between the two steps is lost.
async fn bound_log(log: &Path) {
    let too_big = tokio::fs::metadata(log).await.is_ok_and(|it| it.len() > LOG_BYTES_MAX);
    if too_big && tokio::fs::copy(log, log.with_added_extension("old")).await.is_ok() {
        let emptied = tokio::fs::write(log, b"").await;
        if let Err(error) = emptied {
            tracing::warn!(log = %log.display(), error = %error, "a log cannot be shortened");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_wait_longer_and_longer_up_to_half_a_minute() {
        let delays: Vec<u64> = (1..=8).map(|failures| restart_delay(failures).as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(restart_delay(u32::MAX), RESTART_DELAY_MAX);
    }

    #[tokio::test]
    async fn a_log_that_grew_too_big_is_moved_aside() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("x.log");
        std::fs::write(&log, "short").unwrap();
        bound_log(&log).await;
        assert_eq!(std::fs::metadata(&log).unwrap().len(), 5);
        std::fs::File::create(&log).unwrap().set_len(LOG_BYTES_MAX + 1).unwrap();
        bound_log(&log).await;
        assert_eq!(std::fs::metadata(&log).unwrap().len(), 0);
        let old = std::fs::metadata(folder.path().join("x.log.old")).unwrap();
        assert_eq!(old.len(), LOG_BYTES_MAX + 1);
    }
}
