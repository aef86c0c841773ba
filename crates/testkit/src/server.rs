//! A server process that cannot outlive the test process, however that ends.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Account;

/// How long a server may take to become ready or to be gone.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Starts the server and reads from the test process. The read ends when that process closes the
/// pipe or dies, even by kill -9: then the server is ended and its folder removed, unless told to
/// keep it. Background commands of `sh` ignore SIGINT, and a group of its own keeps Ctrl-C away.
const GUARD: &str = r#"
folder=$1 quit=$2
shift 2
"$@" >>"$folder/log" 2>&1 &
server=$!
echo $server
exec >/dev/null
read -r word
kill -s "$quit" $server
kill -s CONT $server
wait $server
[ "$word" = keep ] || rm -rf "$folder"
"#;

/// A running server with its guard.
pub(crate) struct Server {
    guard: Child,
    pipe: Option<ChildStdin>,
    pid: Pid,
}

impl Server {
    /// Starts `program` in `folder`, which the servers' account owns. `quit` is the signal, without
    /// SIG, that ends it at once.
    pub(crate) fn start<S: AsRef<OsStr>>(
        folder: &Path,
        quit: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "guard"]).arg(folder).arg(quit).arg(program).args(arguments);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8");
        command.current_dir(folder).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Account::for_servers().run(&mut command);
        let mut guard = command.spawn().expect("sh can be started");
        let mut line = String::new();
        let stdout = guard.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the guard says the server's pid");
        let pid = line.trim().parse().unwrap_or_else(|_| panic!("no pid but {line:?}"));
        Self { pipe: guard.stdin.take(), guard, pid: Pid::from_raw(pid) }
    }

    /// Waits until `ready`; the error shows the log of a server that ends before or hangs.
    pub(crate) fn wait_until(&self, folder: &Path, ready: impl Fn() -> bool) -> Result<(), String> {
        if wait(|| ready() || !alive(self.pid)) && ready() {
            return Ok(());
        }
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        Err(format!("the server is not ready; its log says:\n{log}"))
    }

    /// Stops the server and its children where they are; connections stay open and silent.
    pub(crate) fn pause(&self) {
        send(self.pid, Signal::SIGSTOP);
        children(self.pid).into_iter().for_each(|child| send(child, Signal::SIGSTOP));
    }

    pub(crate) fn resume(&self) {
        children(self.pid).into_iter().for_each(|child| send(child, Signal::SIGCONT));
        send(self.pid, Signal::SIGCONT);
    }

    /// Kills the server and its children with SIGKILL; its folder stays.
    pub(crate) fn kill(mut self) {
        send(self.pid, Signal::SIGSTOP); // so that it makes no more children
        let family: Vec<Pid> = [self.pid].into_iter().chain(children(self.pid)).collect();
        family.iter().for_each(|pid| send(*pid, Signal::SIGKILL));
        self.end(b"keep\n");
        let gone = wait(|| !family.iter().any(|pid| alive(*pid)));
        assert!(gone, "{family:?} survive SIGKILL");
    }

    fn end(&mut self, word: &[u8]) {
        if let Some(mut pipe) = self.pipe.take() {
            pipe.write_all(word).ok();
            drop(pipe);
            self.guard.wait().expect("the guard is our child");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.pipe.is_some() {
            self.resume();
        }
        self.end(b"");
    }
}

/// Whether `condition` comes true within our patience.
#[expect(clippy::disallowed_methods, reason = "this is the wait for a condition with a deadline")]
fn wait(condition: impl Fn() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if condition() {
            return true;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    false
}

/// A process that is gone already is no failure: that is what the signal was for.
fn send(pid: Pid, signal: Signal) {
    kill(pid, signal).ok();
}

fn alive(pid: Pid) -> bool {
    state(&pid.to_string()).is_some_and(|(state, _)| state != "Z")
}

fn children(parent: Pid) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").expect("/proc is mounted");
    processes
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|pid| state(pid).is_some_and(|(_, of)| of == parent))
        .filter_map(|pid| pid.parse().ok().map(Pid::from_raw))
        .collect()
}

/// The state letter and the parent of a process, from `/proc/PID/stat`: `pid (name) S ppid ...`.
fn state(pid: &str) -> Option<(String, Pid)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.to_owned();
    Some((state, Pid::from_raw(fields.next()?.parse().ok()?)))
}
