//! The private servers of `up`: started, hurt, and closed to strangers.

mod given;
mod left_behind;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use chassis::{Shutdown, config::Secret};
use commandcenter::servers::{Config, Error, Servers, Status};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use testkit::{eventually, runtime};

const DEADLINE: Duration = Duration::from_secs(20);

/// A data directory that the servers' account can reach.
fn data_dir() -> TempDir {
    let dir = tempfile::Builder::new().prefix("cc-up-").tempdir().expect("a folder can be made");
    let searchable = fs::Permissions::from_mode(0o711);
    fs::set_permissions(dir.path(), searchable).expect("the folder is ours");
    dir
}

fn config(data_dir: &Path) -> Config {
    Config {
        data_dir: data_dir.to_owned(),
        runtime_dir: runtime(),
        ephemeral: false,
        database_url: Secret::default(),
        nats: bus::Config::default(),
    }
}

async fn start(data_dir: &Path) -> Servers {
    Servers::start(&config(data_dir), &Shutdown::new())
        .await
        .unwrap_or_else(|e| panic!("{}", chain(&e)))
}

/// Servers in a folder of their own that do not wait for the disk.
async fn start_ephemeral() -> Servers {
    let config = Config { ephemeral: true, ..config(Path::new("/nonexistent")) };
    Servers::start(&config, &Shutdown::new()).await.unwrap_or_else(|e| panic!("{}", chain(&e)))
}

fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|it| format!(": {}", chain(it)));
    format!("{error}{}", source.unwrap_or_default())
}

async fn postgres(servers: &Servers) -> Result<PgConnection, sqlx::Error> {
    PgConnection::connect(servers.database_url.expose()).await
}

async fn nats(servers: &Servers) -> Result<async_nats::Client, async_nats::ConnectError> {
    let (user, password) = (servers.nats.user.clone(), servers.nats.password.expose().to_owned());
    let options = async_nats::ConnectOptions::new().user_and_password(user, password);
    options.connect(servers.nats.url.expose()).await
}

fn pid(status: &Status) -> Pid {
    Pid::from_raw(status.pid.expect("it runs").try_into().expect("pids are small"))
}

#[tokio::test]
async fn the_second_start_is_quick_and_finds_everything() {
    let dir = data_dir();
    let before = Instant::now();
    let servers = start(dir.path()).await;
    eprintln!("first start: {:?}", before.elapsed());
    let mut session = postgres(&servers).await.unwrap();
    sqlx::query("CREATE TABLE kept (v vector(2))").execute(&mut session).await.unwrap();
    assert!(sqlx::query("ALTER SYSTEM RESET ALL").execute(&mut session).await.is_err());
    let jetstream = async_nats::jetstream::new(nats(&servers).await.unwrap());
    jetstream.create_stream("KEPT").await.unwrap();
    let urls = (servers.database_url.expose().to_owned(), servers.nats.url.expose().to_owned());
    let before = Instant::now();
    servers.stop().await;
    eprintln!("stop: {:?}", before.elapsed());

    let before = Instant::now();
    let servers = start(dir.path()).await;
    let warm = before.elapsed();
    eprintln!("warm start: {warm:?}");
    assert!(warm < Duration::from_secs(5), "{warm:?}");
    assert_eq!((servers.database_url.expose(), servers.nats.url.expose()), (&*urls.0, &*urls.1));
    let mut session = postgres(&servers).await.unwrap();
    sqlx::query("SELECT v FROM kept").execute(&mut session).await.unwrap();
    let jetstream = async_nats::jetstream::new(nats(&servers).await.unwrap());
    jetstream.get_stream("KEPT").await.unwrap();
    servers.stop().await;
}

#[tokio::test]
async fn a_killed_server_comes_back_where_it_was() {
    let servers = start_ephemeral().await;
    for index in 0..2 {
        kill(pid(&servers.status()[index]), Signal::SIGKILL).unwrap();
        eventually(DEADLINE, || async {
            let status = servers.status()[index].clone();
            if status.ready && status.restarts == 1 { Ok(()) } else { Err(status) }
        })
        .await;
    }
    postgres(&servers).await.unwrap().ping().await.unwrap();
    nats(&servers).await.unwrap();
    assert!(servers.status()[0].last_end.as_deref().unwrap().contains("SIGKILL"));
    servers.stop().await;
}

#[tokio::test]
async fn ctrl_c_on_the_terminal_reaches_no_server() {
    let servers = start_ephemeral().await;
    for status in servers.status() {
        let group = nix::unistd::getpgid(Some(pid(&status))).unwrap();
        assert_eq!(group, pid(&status), "{} leads a group of its own", status.name);
    }
    servers.stop().await;
}

fn runs(pid: i32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[tokio::test]
async fn a_data_directory_has_one_process_at_a_time() {
    let dir = data_dir();
    let servers = start(dir.path()).await;
    let error =
        Servers::start(&config(dir.path()), &Shutdown::new()).await.expect_err("it is in use");
    let text = error.to_string();
    assert!(matches!(error, Error::InUse { .. }), "{text}");
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    servers.stop().await;
    start(dir.path()).await.stop().await;
}

#[tokio::test]
async fn strangers_are_refused() {
    let servers = start_ephemeral().await;
    let url = url::Url::parse(servers.database_url.expose()).unwrap();
    for (user, password) in [("commandcenter", Some("wrong")), ("postgres", None), ("root", None)] {
        let mut wrong = url.clone();
        wrong.set_username(user).unwrap();
        wrong.set_password(password).unwrap();
        let refused = PgConnection::connect(wrong.as_str()).await;
        let code = match &refused {
            Err(sqlx::Error::Database(error)) => error.code().map(|code| code.into_owned()),
            _ => None,
        };
        let refused_for_the_password = code.as_deref() == Some("28P01");
        let asked_for_a_password = password.is_none() && refused.is_err();
        assert!(refused_for_the_password || asked_for_a_password, "{user}: {refused:?}");
    }
    assert!(async_nats::connect(servers.nats.url.expose()).await.is_err());
    let guess = async_nats::ConnectOptions::new()
        .user_and_password(servers.nats.user.clone(), "wrong".to_owned());
    assert!(guess.connect(servers.nats.url.expose()).await.is_err());
    servers.stop().await;
}

#[tokio::test]
async fn nothing_below_the_data_directory_is_open_to_others() {
    let servers = start_ephemeral().await;
    let mode = |path: &str| fs::metadata(servers.data_dir().join(path)).unwrap().mode() & 0o7777;
    for folder in ["secrets", "logs", "postgres/data", "postgres/socket", "nats/store"] {
        assert_eq!(mode(folder), 0o700, "{folder}");
    }
    for file in ["nats/nats.conf", "logs/postgres.log", "logs/nats.log", "lock"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    let secrets: Vec<PathBuf> = fs::read_dir(servers.data_dir().join("secrets"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("nats.port"))
        .collect();
    assert_eq!(secrets.len(), 5, "{secrets:?}");
    for secret in &secrets {
        assert_eq!(fs::metadata(secret).unwrap().mode() & 0o7777, 0o600, "{secret:?}");
        let content = fs::read_to_string(secret).unwrap();
        assert!(!logs(servers.data_dir()).contains(content.trim()), "{secret:?} is in a log");
    }
    assert!(!format!("{servers:?}").contains(servers.nats.password.expose()));
    for status in servers.status() {
        let line = fs::read_to_string(format!("/proc/{}/cmdline", pid(&status))).unwrap();
        assert!(!line.contains(servers.nats.password.expose()), "{line}");
    }
    servers.stop().await;
}

fn logs(dir: &Path) -> String {
    let logs = ["logs/postgres.log", "logs/nats.log"].map(|it| dir.join(it));
    logs.map(|path| fs::read_to_string(path).expect("there is a log")).concat()
}

#[tokio::test]
async fn an_ephemeral_instance_leaves_nothing() {
    let config = Config { ephemeral: true, ..config(Path::new("/nonexistent")) };
    let servers = Servers::start(&config, &Shutdown::new()).await.unwrap();
    let path = servers.data_dir().to_owned();
    postgres(&servers).await.unwrap().ping().await.unwrap();
    assert!(path.exists());
    servers.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn what_is_missing_or_closed_is_named() {
    let dir = data_dir();
    let empty = Config { runtime_dir: dir.path().to_owned(), ..config(dir.path()) };
    let error = Servers::start(&empty, &Shutdown::new()).await.expect_err("there is no program");
    assert!(error.to_string().contains("scripts/runtime"), "{error}");

    let deep = dir.path().join("a".repeat(90));
    let error = Servers::start(&config(&deep), &Shutdown::new()).await.expect_err("no socket fits");
    assert!(error.to_string().contains("shorter"), "{error}");

    if geteuid().is_root() {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let inside = config(&dir.path().join("in"));
        let error = Servers::start(&inside, &Shutdown::new()).await.expect_err("it is closed");
        assert!(matches!(error, Error::Closed { .. }), "{error}");
        assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn programs_in_a_closed_folder_are_copied() {
    if !geteuid().is_root() {
        eprintln!("only root runs the servers as another account: nothing to see here");
        return;
    }
    let (dir, closed) = (data_dir(), tempfile::tempdir().unwrap());
    for part in ["postgres", "nats"] {
        let (from, to) = (runtime().join(part), closed.path());
        assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
    }
    let config = Config { runtime_dir: closed.path().to_owned(), ..config(dir.path()) };
    for _ in 0..2 {
        let servers = Servers::start(&config, &Shutdown::new())
            .await
            .unwrap_or_else(|e| panic!("{}", chain(&e)));
        postgres(&servers).await.unwrap().ping().await.unwrap();
        servers.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let dir = data_dir();
    start(dir.path()).await.stop().await;
    fs::write(dir.path().join("postgres/data/PG_VERSION"), "9\n").unwrap();
    let error = Servers::start(&config(dir.path()), &Shutdown::new())
        .await
        .expect_err("the version is wrong");
    assert!(matches!(error, Error::NotReady { server: "postgres", .. }), "{error}");
    assert!(error.to_string().contains("version 9"), "{error}");
}

#[tokio::test]
async fn folders_that_lead_to_a_new_data_directory_can_be_passed_through() {
    let dir = data_dir();
    let nested = dir.path().join("new/data");
    start(&nested).await.stop().await;
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("new")), 0o755);
    assert_eq!(mode(&nested) & 0o700, 0o700);
    assert_eq!(mode(&nested) & 0o066, 0, "and nobody else looks into it");
}
