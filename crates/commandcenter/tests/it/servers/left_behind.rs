//! What an interrupted start and a killed process leave behind.

use std::collections::BTreeSet;

use super::*;

#[tokio::test]
async fn a_start_that_is_interrupted_leaves_no_server() {
    let dir = data_dir();
    let interrupt = Shutdown::new();
    let wanted = config(dir.path());
    let started = Servers::start(&wanted, &interrupt);
    let postmaster = dir.path().join("postgres/data/postmaster.pid");
    let pid = async {
        let pid = eventually(DEADLINE, || async {
            let text = fs::read_to_string(&postmaster).unwrap_or_default();
            text.lines().next().and_then(|line| line.parse::<i32>().ok()).ok_or("no pid yet")
        })
        .await;
        interrupt.cancel();
        pid
    };
    let (started, pid) = tokio::join!(started, pid);
    assert!(matches!(started, Err(Error::Interrupted)), "{started:?}");
    assert!(!runs(pid));
    start(dir.path()).await.stop().await;
}

#[tokio::test]
async fn what_a_killed_ephemeral_instance_left_is_swept_by_the_next() {
    let temporary = data_dir();
    if std::env::var_os("EPHEMERAL_VICTIM").is_some() {
        let _servers = start_ephemeral().await;
        kill(Pid::this(), Signal::SIGKILL).ok();
    }
    let name = "servers::left_behind::what_a_killed_ephemeral_instance_left_is_swept_by_the_next";
    let victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("EPHEMERAL_VICTIM", "1")
        .env("TMPDIR", temporary.path())
        .output()
        .unwrap();
    assert!(!victim.status.success());
    let left = || -> Vec<PathBuf> {
        let entries = fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.join("lock").exists()).collect()
    };
    let [folder] = left().try_into().expect("one folder is left");
    let pid = fs::read_to_string(folder.join("postgres/data/postmaster.pid")).unwrap();
    let pid = pid.lines().next().unwrap().parse().unwrap();
    assert!(runs(pid));

    // A folder whose process lives stays, as does one that is being made.
    let living = temporary.path().join("commandcenter-living");
    let young = temporary.path().join("commandcenter-young");
    for (folder, pid) in [(&living, std::process::id().to_string()), (&young, String::new())] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("lock"), pid).unwrap();
    }
    Servers::sweep(temporary.path()).await;
    assert!(!runs(pid));
    assert_eq!(left().into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([living, young]));
}

#[tokio::test]
async fn servers_left_behind_by_a_killed_process_are_ended() {
    if let Some(dir) = std::env::var_os("SERVERS_VICTIM") {
        let _servers = start(Path::new(&dir)).await;
        kill(Pid::this(), Signal::SIGKILL).ok();
    }
    let dir = data_dir();
    let name = "servers::left_behind::servers_left_behind_by_a_killed_process_are_ended";
    let victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("SERVERS_VICTIM", dir.path())
        .output()
        .unwrap();
    assert!(!victim.status.success());
    let left = |file: &str| -> i32 {
        let text = fs::read_to_string(dir.path().join(file)).expect("the pid file is there");
        text.lines().next().unwrap().trim().parse().unwrap()
    };
    let left = [left("postgres/data/postmaster.pid"), left("nats/store/nats.pid")];
    assert!(left.iter().all(|pid| runs(*pid)), "a kill -9 leaves them running");

    let before = Instant::now();
    let servers = start(dir.path()).await;
    eprintln!("start after kill -9: {:?}", before.elapsed());
    assert!(!left.iter().any(|pid| runs(*pid)), "and the next start ends them");
    postgres(&servers).await.unwrap().ping().await.unwrap();
    servers.stop().await;
}

#[tokio::test]
async fn a_pid_that_another_program_has_now_is_left_alone() {
    let dir = data_dir();
    start(dir.path()).await.stop().await;
    let mut bystander = Command::new("sleep").arg("60").spawn().unwrap();
    fs::write(dir.path().join("nats/store/nats.pid"), format!("{}", bystander.id())).unwrap();
    let servers = start(dir.path()).await;
    assert!(bystander.try_wait().unwrap().is_none(), "the bystander lives");
    servers.stop().await;
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}
