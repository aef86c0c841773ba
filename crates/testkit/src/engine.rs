//! A Docker Engine of a test's own, which may be stopped and killed.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::RngExt as _;
use tokio::task::spawn_blocking;

use crate::Docker;

/// How long the daemon may take to answer or to be gone; it stops its containers first.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Networks that a test's daemon gives its default bridge, one of 256 each.
const BRIDGES: &str = "10.254";

/// Reads from the test process. The read ends when that closes the pipe or dies, even by kill -9:
/// then everything goes that carries the folder's name, or is in the group, whatever state the
/// daemon left it in: processes, mounts, network links, control groups, files.
const JANITOR: &str = r#"
folder=$1 bridge=$2 group=$3
read -r _
for _ in $(seq 100); do
    pids=$(grep -lzs "$folder[/]" /proc/[0-9]*/cmdline | cut -d/ -f3
        cat /sys/fs/cgroup/$group/*/cgroup.procs /sys/fs/cgroup/*/$group/*/cgroup.procs)
    [ -n "$pids" ] || break
    kill -9 $pids
    sleep 0.1
done
cut -d' ' -f2 /proc/mounts | grep "^$folder[/]" | sort -r | xargs -r -n1 umount -l
for link in "$bridge" $(grep -aoE 'br-[0-9a-f]{12}' "$folder"/data/network/files/local-kv.db); do
    ip link delete "$link"
done
find /sys/fs/cgroup/$group /sys/fs/cgroup/*/$group -depth -type d -exec rmdir {} +
rm -rf --one-file-system "$folder"
"#;

/// A Docker Engine that no other test knows, with a containerd and a bridge of its own; the
/// machine's Engine and its firewall rules are left alone. Everything goes with the value, or with
/// the test process.
///
/// Containers can be reached from the host. There is no way out of its networks, as no rule lets
/// them.
pub struct Engine {
    folder: PathBuf,
    bridge: String,
    group: String,
    flags: Vec<String>,
    janitor: Child,
    pipe: Option<ChildStdin>,
    daemon: Option<Child>,
}

impl Engine {
    /// A daemon with these flags beside ours, such as `--live-restore`.
    ///
    /// # Panics
    /// When it does not become ready; root is needed.
    pub async fn start(flags: &[&str]) -> Self {
        let flags = flags.iter().map(|&it| it.to_owned()).collect();
        spawn_blocking(|| Self::launch(flags)).await.expect("dockerd starts")
    }

    /// Such as `unix:///tmp/x/docker.sock`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Where it listens; the path stays over restarts.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    /// The Engine with a new owner.
    pub async fn docker(&self) -> Docker {
        Docker::at(self.host()).await
    }

    /// Stops the daemon as a service manager does, and with it its containers unless it was
    /// started with `--live-restore`.
    ///
    /// # Panics
    /// When it is not gone in time.
    pub async fn stop(&mut self) {
        self.end(Signal::SIGTERM).await;
    }

    /// Kills the daemon with SIGKILL, and with it its containerd; containers go on running.
    ///
    /// # Panics
    /// When it is not gone in time.
    pub async fn kill(&mut self) {
        self.end(Signal::SIGKILL).await;
    }

    /// Starts a daemon again that was stopped or killed. Without `--live-restore` it kills the
    /// containers that still run.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn resume(&mut self) {
        let (folder, bridge) = (self.folder.clone(), self.bridge.clone());
        let (group, flags) = (self.group.clone(), self.flags.clone());
        let daemon = spawn_blocking(move || serve(&folder, &bridge, &group, &flags)).await;
        self.daemon = Some(daemon.expect("dockerd starts again"));
    }

    async fn end(&mut self, signal: Signal) {
        let Some(mut daemon) = self.daemon.take() else { return };
        kill(pid(&daemon), signal).ok();
        let gone = spawn_blocking(move || wait(|| daemon.try_wait().is_ok_and(|it| it.is_some())));
        assert!(gone.await.expect("waiting returns"), "dockerd survives {signal}");
    }

    fn launch(flags: Vec<String>) -> Self {
        let folder = tempfile::Builder::new().prefix("cc-engine-").tempdir();
        let folder = folder.expect("the temporary folder is writable").keep();
        let bridge = format!("cc{:08x}", rand::rng().random::<u32>());
        let group = format!("commandcenter-test-{bridge}");
        let mut janitor = Command::new("sh");
        janitor.args(["-c", JANITOR, "janitor"]).arg(&folder).args([&bridge, &group]);
        janitor.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").process_group(0);
        janitor.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut janitor = janitor.spawn().expect("sh can be started");
        let pipe = janitor.stdin.take();
        // From here on a panic cleans up.
        let mut engine = Self { folder, bridge, group, flags, janitor, pipe, daemon: None };
        make_bridge(&engine.bridge);
        // The id is in the key: without one of its own it would have the machine's.
        let config =
            format!(r#"{{"deprecated-key-path": "{}/key.json"}}"#, engine.folder.display());
        std::fs::write(engine.folder.join("daemon.json"), config).expect("the folder is ours");
        let daemon = serve(&engine.folder, &engine.bridge, &engine.group, &engine.flags);
        engine.daemon = Some(daemon);
        engine
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.pipe.take();
        self.janitor.wait().ok();
        self.daemon.iter_mut().for_each(|it| drop(it.wait()));
    }
}

/// Starts a daemon on what the folder has, and waits until it answers.
fn serve(folder: &Path, bridge: &str, group: &str, flags: &[String]) -> Child {
    let path = |name: &str| folder.join(name).display().to_string();
    // After a kill both name processes that are gone, and whose numbers may be others' by now.
    for stale in ["pid", "exec/containerd/containerd.pid"] {
        std::fs::remove_file(folder.join(stale)).ok();
    }
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log"));
    let log = log.expect("the folder is ours");
    let mut command = Command::new("dockerd");
    command.args(["--config-file", &path("daemon.json"), "--data-root", &path("data")]);
    command.args(["--exec-root", &path("exec"), "--pidfile", &path("pid")]);
    command.args(["--host", &format!("unix://{}", path("docker.sock"))]);
    command.args(["--bridge", bridge, "--cgroup-parent", &format!("/{group}")]);
    command.args(["--exec-opt", "native.cgroupdriver=cgroupfs", "--storage-driver", "vfs"]);
    command.args(["--iptables=false", "--ip-masq=false", "--ip-forward=false"]);
    command.args(["--shutdown-timeout", "3"]).args(flags).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut daemon = command.spawn().expect("dockerd can be run");
    let ready = wait(|| daemon.try_wait().is_ok_and(|it| it.is_some()) || answers(folder));
    if !(ready && answers(folder)) {
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        daemon.kill().ok();
        panic!("dockerd is not ready; its log says:\n{log}");
    }
    daemon
}

fn answers(folder: &Path) -> bool {
    let ask = || {
        let mut stream = UnixStream::connect(folder.join("docker.sock"))?;
        stream.set_read_timeout(Some(PING_TIMEOUT))?;
        stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    ask().is_ok_and(|answer| answer.contains("200 OK"))
}

/// A bridge with a network that nobody on this host has a route to.
fn make_bridge(name: &str) {
    let routes = ip(&["-4", "route", "show"]);
    let free = |net: &u8| !routes.contains(&format!("{BRIDGES}.{net}."));
    let first: u8 = rand::rng().random();
    let net = (0..=u8::MAX).map(|it| it.wrapping_add(first)).find(free).expect("a free network");
    ip(&["link", "add", name, "type", "bridge"]);
    ip(&["address", "add", &format!("{BRIDGES}.{net}.1/24"), "dev", name]);
    ip(&["link", "set", name, "up"]);
}

fn ip(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output().expect("ip can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

/// Whether `condition` comes true within our patience.
#[expect(clippy::disallowed_methods, reason = "this is the wait for a condition with a deadline")]
fn wait(mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if condition() {
            return true;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    false
}
