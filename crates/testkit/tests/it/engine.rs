//! A daemon of a test's own, and a way to it that misbehaves.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::{Engine, Fault, Proxy, eventually};

const DEADLINE: Duration = Duration::from_secs(20);

/// What carries the name of an Engine's folder or bridge.
fn traces(engine: &Engine) -> Box<dyn Fn() -> Vec<String>> {
    let folder = engine.socket().parent().expect("it has a folder").to_owned();
    let bridge = {
        let command = std::fs::read_to_string(folder.join("pid")).expect("it runs");
        let words = std::fs::read(format!("/proc/{command}/cmdline")).expect("it runs");
        let words = String::from_utf8_lossy(&words).into_owned();
        let mut words = words.split('\0').skip_while(|it| *it != "--bridge");
        words.nth(1).expect("it has a bridge").to_owned()
    };
    Box::new(move || {
        let mounts = std::fs::read_to_string("/proc/mounts").expect("/proc is mounted");
        let links = Command::new("ip").args(["-brief", "link"]).output().expect("ip can be run");
        let links = String::from_utf8_lossy(&links.stdout).into_owned();
        let shown = folder.display().to_string();
        let mut found: Vec<String> =
            mounts.lines().chain(links.lines()).map(str::to_owned).collect();
        found.retain(|line| line.contains(&shown) || line.contains(&bridge));
        found.extend(folder.exists().then(|| shown.clone()));
        found.extend(processes(&shown));
        found
    })
}

fn processes(word: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("/proc is mounted").flatten();
    let lines = processes.filter_map(|it| std::fs::read(it.path().join("cmdline")).ok());
    let lines = lines.map(|it| String::from_utf8_lossy(&it).replace('\0', " "));
    lines.filter(|it| it.contains(word)).collect()
}

#[tokio::test]
async fn a_daemon_survives_its_death_and_leaves_nothing_behind() {
    let mut engine = Engine::start(&[]).await;
    let docker = engine.docker().await;
    docker.run(&["network", "create", "--label", &docker.label(), "net"]).await;
    let container = docker.run_chaosd(&["--network", "net"], &["wait"]).await;
    let traces = traces(&engine);
    assert!(traces().len() > 4, "{:?}", traces());
    for kill in [false, true] {
        if kill {
            engine.kill().await;
        } else {
            engine.stop().await;
        }
        assert!(!docker.attempt(&["version"]).await.status.success());
        engine.resume().await;
        let state = docker.run(&["inspect", "--format", "{{.State.Status}}", &container]).await;
        assert_eq!(state, "exited", "without --live-restore containers go with their daemon");
        docker.run(&["start", &container]).await;
    }
    engine.kill().await;
    drop(docker);
    drop(engine);
    assert_eq!(traces(), Vec::<String>::new());
}

async fn ask(socket: PathBuf, path: &str) -> (i32, String) {
    let url = format!("http://docker{path}");
    let mut command = tokio::process::Command::new("curl");
    command.args(["--silent", "--max-time", "5", "--unix-socket"]).arg(socket).arg(url);
    let output = command.output().await.expect("curl can be run");
    let code = output.status.code().expect("it ended by itself");
    (code, String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn a_way_to_an_engine_misbehaves_as_it_is_told() {
    let docker = testkit::Docker::shared().await;
    let proxy = Proxy::start(&docker.host).await;
    let version = async || ask(proxy.socket(), "/version").await;
    let (code, whole) = version().await;
    assert!(code == 0 && whole.contains("ApiVersion"), "{code} {whole}");

    proxy.fault("GET /version", Fault::Cut(7), 1);
    let (code, cut) = version().await;
    assert!(code != 0 && cut == whole[..7], "{code} {cut}");
    proxy.fault("/version", Fault::Fail, 1);
    assert!(version().await.1.contains("the test said so"));
    proxy.fault("/version", Fault::Lose, 1);
    let (code, lost) = version().await;
    assert!(code != 0 && lost.is_empty(), "{code} {lost}");
    proxy.fault("/version", Fault::Delay(Duration::from_millis(300)), 1);
    let begin = Instant::now();
    assert_eq!(version().await, (0, whole.clone()));
    assert!(begin.elapsed() >= Duration::from_millis(300));
    proxy.fault("/version", Fault::Hang, 1);
    assert_eq!(version().await, (28, String::new()), "curl gives up");
    assert_eq!(version().await, (0, whole), "each fault was planned once");
    assert_eq!(proxy.asked("GET /version").len(), 7);
}

#[tokio::test]
async fn a_way_to_an_engine_doubles_what_is_asked_and_answered() {
    let docker = testkit::Docker::shared().await;
    let proxy = Proxy::start(&docker.host).await;
    let container = docker.run_chaosd(&["--network", "none"], &["print", "text=one"]).await;
    docker.run(&["wait", &container]).await;
    let logs = format!("/containers/{container}/logs?stdout=1");
    let read = async || ask(proxy.socket(), &logs).await.1;
    let once = read().await;
    proxy.fault("/logs?", Fault::Double, 1);
    assert_eq!(read().await, once.repeat(2));

    // Through it the command `docker` works as ever, and what hijacks a connection too.
    let host = format!("unix://{}", proxy.socket().display());
    let through = async |arguments: &[&str]| {
        let mut command = tokio::process::Command::new("docker");
        let output = command.args(["--host", &host]).args(arguments).output().await;
        let output = output.expect("docker can be run");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let waits = docker.run_chaosd(&["--network", "none"], &["wait"]).await;
    let said = through(&["exec", &waits, "/chaosd", "print", "text=two"]).await;
    assert_eq!(said, (true, "two".to_owned()));
    proxy.fault("/volumes/create", Fault::Twice, 1);
    let made = through(&["volume", "create", "--label", &docker.label()]).await;
    assert!(made.0, "{made:?}");
    let filter = format!("label={}", docker.label());
    let list = ["volume", "ls", "--quiet", "--filter", &filter];
    let volumes = eventually(DEADLINE, || async {
        let volumes = docker.run(&list).await;
        if volumes.lines().count() == 2 { Ok(volumes) } else { Err(volumes) }
    });
    assert!(volumes.await.contains(&made.1), "it was made twice");
}
