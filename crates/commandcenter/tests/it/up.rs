//! `up` as a process: what its greeting promises, and signals.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use testkit::{Nats, Postgres, eventually};

/// How long each step may take.
const DEADLINE: Duration = Duration::from_secs(30);

fn up(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_commandcenter"));
    command
        .args(["up", "--http-port", "0", "--grpc-port", "0", "--admin-port", "0"])
        .arg("--data-dir")
        .arg(data_dir)
        .arg("--runtime-dir")
        .arg(testkit::runtime())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

fn start(data_dir: &Path) -> Child {
    up(data_dir).spawn().expect("it starts")
}

/// Waits for the greeting.
fn greeted(up: &mut Child) {
    let mut lines = BufReader::new(up.stdout.take().expect("it is piped")).lines();
    assert!(lines.any(|line| line.expect("text").contains("is ready")), "it greets");
}

fn signal(up: &Child, signal: Signal) {
    kill(Pid::from_raw(up.id().try_into().expect("pids are small")), signal).expect("it runs");
}

async fn ended(up: &mut Child) -> ExitStatus {
    let ended = eventually(DEADLINE, || {
        let ended = up.try_wait().expect("it is our child");
        async move { ended.ok_or("it still runs") }
    });
    ended.await
}

/// The pid that a server has written.
async fn pid_in(file: &Path) -> Pid {
    let read = || async {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().next().and_then(|line| line.trim().parse().ok()).ok_or("no pid yet")
    };
    Pid::from_raw(eventually(DEADLINE, read).await)
}

fn runs(pid: Pid) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[tokio::test]
async fn a_second_signal_during_the_start_leaves_no_server() {
    let dir = tempfile::Builder::new().prefix("cc-up-").tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let mut up = start(dir.path());
    let postgres = pid_in(&dir.path().join("postgres/data/postmaster.pid")).await;
    let nats = pid_in(&dir.path().join("nats/store/nats.pid")).await;
    // It does not end in good order any more.
    kill(postgres, Signal::SIGSTOP).unwrap();
    signal(&up, Signal::SIGINT);
    signal(&up, Signal::SIGTERM);
    assert_eq!(ended(&mut up).await.code(), Some(130));
    for server in [postgres, nats] {
        eventually(DEADLINE, || async { if runs(server) { Err("it runs") } else { Ok(()) } }).await;
    }
}

#[tokio::test]
async fn commands_work_from_the_greeting_on_and_the_first_signal_stops_in_order() {
    let dir = tempfile::Builder::new().prefix("cc-up-").tempdir().unwrap();
    let mut up = start(dir.path());
    greeted(&mut up);
    let mut command = Command::new(env!("CARGO_BIN_EXE_commandcenter"));
    let listed = command.args(["project", "list", "--data-dir"]).arg(dir.path()).output().unwrap();
    assert!(listed.status.success(), "{listed:?}");

    let postgres = pid_in(&dir.path().join("postgres/data/postmaster.pid")).await;
    signal(&up, Signal::SIGINT);
    assert!(ended(&mut up).await.success());
    assert!(!runs(postgres));
    assert!(!dir.path().join("instance.json").exists());
}

#[tokio::test]
async fn with_both_servers_given_it_serves_until_a_signal() {
    let dir = tempfile::Builder::new().prefix("cc-up-").tempdir().unwrap();
    let (postgres, nats) = tokio::join!(Postgres::start(), Nats::start());
    let mut up = up(dir.path())
        .env("DATABASE_URL", postgres.database().await.url)
        .env("NATS_URL", nats.url_with_credentials())
        .spawn()
        .expect("it starts");
    greeted(&mut up);
    signal(&up, Signal::SIGINT);
    assert!(ended(&mut up).await.success());
    assert!(!dir.path().join("postgres").exists() && !dir.path().join("nats").exists());
}

#[tokio::test]
async fn without_docker_everything_is_ready_and_stacks_say_what_is_missing() {
    let dir = tempfile::Builder::new().prefix("cc-up-").tempdir().unwrap();
    let mut up = up(dir.path())
        .env("COMMANDCENTER__ORCHESTRATOR__DOCKER_SOCKET", "/nonexistent/docker.sock")
        .spawn()
        .expect("it starts");
    greeted(&mut up);
    let command = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_commandcenter"));
        command.args(args).arg("--data-dir").arg(dir.path()).output().unwrap()
    };
    let status = command(&["status", "-o", "json"]);
    assert!(status.status.success(), "{status:?}");
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    let services = status["services"].as_array().unwrap();
    let orchestrator = services.iter().find(|it| it["name"] == "orchestrator").unwrap();
    assert_eq!(orchestrator["state"], "ready");
    let reason = orchestrator["reason"].as_str().unwrap();
    assert!(reason.starts_with("docker: unavailable"), "{reason}");
    let explained = String::from_utf8(command(&["config", "explain"]).stdout).unwrap();
    assert!(explained.contains("orchestrator.logs.folder"), "{explained}");
    // Nobody but us may read what services write.
    let logs = dir.path().join("logs/stacks");
    let logs = eventually(DEADLINE, || async { fs::metadata(&logs) }).await;
    assert_eq!(logs.permissions().mode() & 0o777, 0o700);
    signal(&up, Signal::SIGINT);
    assert!(ended(&mut up).await.success());
}
