//! Containers of our own images.

use std::time::{Duration, Instant};

use testkit::{Docker, eventually, eventually_eq};

const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until the container has ended and answers its exit code with all it printed.
async fn ended(docker: &Docker, container: &str) -> (i32, String) {
    let code = docker.run(&["wait", container]).await.parse().expect("docker says the code");
    let output = docker.attempt(&["logs", container]).await;
    let text = [output.stdout, output.stderr].concat();
    (code, String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test]
async fn the_test_program_misbehaves_on_demand() {
    let docker = Docker::shared().await;
    let hardened = ["--read-only", "--user", "20001", "--cap-drop", "ALL"];
    let cases: [(&[&str], &[&str], i32, &str); 10] = [
        (&[], &["exit", "code=3", "after=0.1"], 3, ""),
        (&["--memory", "16m"], &["memory"], 137, ""),
        (&["--memory", "16m"], &["childmemory"], 0, "child: signal: 9"),
        (&["--pids-limit", "20"], &["fork", "+", "exit", "after=1"], 0, "Resource temporarily"),
        (&["--network", "none"], &["flood", "lines=3", "width=25"], 0, "\n3 "),
        (&[], &["print", "hex=016f6e65"], 0, "\u{1}one"),
        (&[], &["long", "bytes=20000"], 0, &"x".repeat(20_000)),
        (&hardened, &["write", "path=/x"], 1, "write /x: Read-only file system"),
        (&hardened, &["status"], 0, "CapEff:\t0000000000000000"),
        (&[], &["connect", "to=nowhere.invalid:1"], 1, "cannot be resolved"),
    ];
    for (flags, actions, code, text) in cases {
        let container = docker.run_chaosd(flags, actions).await;
        let (seen, printed) = ended(&docker, &container).await;
        assert_eq!(seen, code, "{actions:?} printed {printed}");
        assert!(printed.contains(text), "{actions:?} printed {printed}");
    }
}

#[tokio::test]
async fn the_test_program_serves_late_and_changes_its_mind() {
    let docker = Docker::shared().await;
    rustls::crypto::ring::default_provider().install_default().ok();
    docker.chaosd().await;
    let begin = Instant::now();
    let container = docker.run_chaosd(&[], &["http", "after=1"]).await;
    let url = format!("http://{}:8000", docker.address(&container).await);
    let get = async |path: &str| reqwest::get(format!("{url}{path}")).await.map(|r| r.status());
    eventually(DEADLINE, || get("/")).await;
    assert!(begin.elapsed() >= Duration::from_secs(1), "it listens too early");
    get("/status?503").await.expect("it listens");
    assert_eq!(get("/").await.expect("it listens"), 503);
    get("/exit?7").await.expect_err("it ends at once");
    assert_eq!(ended(&docker, &container).await.0, 7);
}

#[tokio::test]
async fn the_test_program_obeys_sigterm_unless_stubborn() {
    let docker = Docker::shared().await;
    for (actions, code) in [(["wait", "+", "wait"], 0), (["wait", "+", "stubborn"], 137)] {
        let container = docker.run_chaosd(&[], &actions).await;
        docker.run(&["stop", "--time", "1", &container]).await;
        assert_eq!(ended(&docker, &container).await.0, code, "{actions:?}");
    }
}

#[tokio::test]
async fn whatever_carries_the_label_goes_with_the_value() {
    let (docker, other) = (Docker::shared().await, Docker::shared().await);
    let container = docker.run_chaosd(&[], &["wait"]).await;
    let (label, name) = (docker.label(), docker.owner.to_string());
    docker.run(&["network", "create", "--label", &label, &name]).await;
    docker.run(&["volume", "create", "--label", &label, &name]).await;
    drop(docker);
    for object in [["container", &container], ["network", &name], ["volume", &name]] {
        let gone = || async { other.attempt(&[object[0], "inspect", object[1]]).await.status };
        eventually_eq(DEADLINE, Some(1), || async { gone().await.code() }).await;
    }
}

/// As the orchestrator runs services: any user, nothing to write on but what is mounted.
fn hardened<'a>(extra: &[&'a str]) -> Vec<&'a str> {
    let flags = [
        "--detach",
        "--pull",
        "never",
        "--read-only",
        "--user",
        "23456:23456",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "--tmpfs",
        "/tmp:uid=23456",
    ];
    [&["run"], &flags[..], extra].concat()
}

#[tokio::test]
async fn real_postgres_and_redis_run_as_anybody_on_a_read_only_root() {
    let docker = Docker::shared().await;
    let (postgres, redis) = (docker.postgres().await, docker.redis().await);
    let label = docker.label();
    let secrets = tempfile::tempdir().expect("a folder");
    let password = secrets.path().join("postgres_password");
    std::fs::write(&password, "two words").expect("it is written");
    open(secrets.path(), 0o755);
    open(&password, 0o444);
    let bind = format!("{}:/run/secrets:ro", secrets.path().display());
    let extra = [
        "--label",
        &label,
        "--tmpfs",
        "/var/run/postgresql:uid=23456",
        "--tmpfs",
        "/var/lib/postgresql/data:uid=23456",
        "-v",
        &bind,
        "-e",
        "POSTGRES_USER=app",
        "-e",
        "POSTGRES_PASSWORD_FILE=/run/secrets/postgres_password",
        "-e",
        "PGDATA=/var/lib/postgresql/data/pgdata",
        &postgres,
    ];
    let postgres = docker.run(&hardened(&extra)).await;
    let extra = [
        "--label",
        &label,
        "--tmpfs",
        "/data:uid=23456",
        &redis,
        "redis-server",
        "--dir",
        "/data",
        "--appendonly",
        "yes",
    ];
    let redis = docker.run(&hardened(&extra)).await;
    let says = async |container: &str, words: &[&str]| {
        eventually(DEADLINE, || async {
            let output = docker.attempt(&[&["exec", container], words].concat()).await;
            match output.status.success() {
                true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
                false => Err(docker.attempt(&["logs", container]).await),
            }
        })
        .await
    };
    assert_eq!(says(&redis, &["redis-cli", "ping"]).await, "PONG");
    says(&postgres, &["pg_isready", "-h", "127.0.0.1", "-U", "app"]).await;
    let url = "postgres://app:two%20words@127.0.0.1/app";
    assert_eq!(says(&postgres, &["psql", url, "-Atc", "SELECT current_user"]).await, "app");
    let wrong = ["exec", &postgres, "psql", "postgres://app:no@127.0.0.1/app", "-c", "SELECT 1"];
    assert!(!docker.attempt(&wrong).await.status.success(), "the password counts");
}

fn open(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
}
