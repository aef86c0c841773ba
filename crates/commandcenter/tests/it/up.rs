//! `up` as a process: what its greeting promises, and signals.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use testkit::eventually;

/// How long each step may take.
const DEADLINE: Duration = Duration::from_secs(30);

fn start(data_dir: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_commandcenter"))
        .args(["up", "--http-port", "0", "--grpc-port", "0", "--admin-port", "0"])
        .arg("--data-dir")
        .arg(data_dir)
        .arg("--runtime-dir")
        .arg(testkit::runtime())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts")
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
    let us = Pid::from_raw(up.id().try_into().unwrap());
    let postgres = pid_in(&dir.path().join("postgres/data/postmaster.pid")).await;
    let nats = pid_in(&dir.path().join("nats/store/nats.pid")).await;
    // It does not end in good order any more.
    kill(postgres, Signal::SIGSTOP).unwrap();
    kill(us, Signal::SIGINT).unwrap();
    kill(us, Signal::SIGTERM).unwrap();
    let ended = eventually(DEADLINE, || {
        let ended = up.try_wait().unwrap();
        async move { ended.ok_or("it still runs") }
    });
    assert_eq!(ended.await.code(), Some(130));
    for server in [postgres, nats] {
        eventually(DEADLINE, || async { if runs(server) { Err("it runs") } else { Ok(()) } }).await;
    }
}

#[tokio::test]
async fn commands_work_from_the_greeting_on_and_the_first_signal_stops_in_order() {
    let dir = tempfile::Builder::new().prefix("cc-up-").tempdir().unwrap();
    let mut up = start(dir.path());
    let mut lines = BufReader::new(up.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("is ready")), "it greets");
    let mut command = Command::new(env!("CARGO_BIN_EXE_commandcenter"));
    let listed = command.args(["project", "list", "--data-dir"]).arg(dir.path()).output().unwrap();
    assert!(listed.status.success(), "{listed:?}");

    let postgres = pid_in(&dir.path().join("postgres/data/postmaster.pid")).await;
    kill(Pid::from_raw(up.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let ended = eventually(DEADLINE, || {
        let ended = up.try_wait().unwrap();
        async move { ended.ok_or("it still runs") }
    });
    assert!(ended.await.success());
    assert!(!runs(postgres));
    assert!(!dir.path().join("instance.json").exists());
}
