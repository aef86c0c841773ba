//! A private Postgres 18 with pgvector, and its faults.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{ConnectOptions, Connection, Executor};
use tokio::task::spawn_blocking;

use crate::Account;
use crate::files::{copy_tree, lock, private_folder, programs, runtime};
use crate::server::Server;

/// Counts changes to what a fresh data directory holds, so that old cached ones are not used.
const TEMPLATE_FORMAT: u32 = 1;

/// Small and quick, and durable only against the death of its process: what was committed survives
/// SIGKILL, though not a power cut.
const SETTINGS: [&str; 11] = [
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "fsync=off",
    "full_page_writes=off",
    "shared_buffers=32MB",
    "max_connections=300",
    "max_wal_size=256MB",
    "jit=off",
    "random_page_cost=1.1", // as in the product, so that plans are the same
    "timezone=UTC",
    "log_min_messages=warning",
];

/// The role that owns each test's database; like the product's, it is no superuser.
const OWNER: &str = "commandcenter";

/// A Postgres server of this test process's own, reached over a unix socket that it keeps over
/// restarts. It is gone with the process, and a dedicated one with its value.
pub struct Postgres {
    folder: PathBuf,
    server: Option<Server>,
}

/// An empty database with the extension `vector`.
#[derive(Clone, Debug)]
pub struct Database {
    /// How to connect as its owner, who is no superuser.
    pub url: String,
    /// How to connect as the superuser.
    pub superuser_url: String,
}

impl Postgres {
    /// The server that all tests of this process share; only the first call starts it.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        spawn_blocking(|| SHARED.get_or_init(Self::launch)).await.expect("Postgres starts")
    }

    /// A server for this test alone, which may then be hurt.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn dedicated() -> Self {
        spawn_blocking(Self::launch).await.expect("Postgres starts")
    }

    /// A fresh database that no other test knows.
    ///
    /// # Panics
    /// When the server is down.
    pub async fn database(&self) -> Database {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let options: sqlx::postgres::PgConnectOptions =
            self.url("postgres", "postgres").parse().expect("the URL is well formed");
        let mut admin = options.connect().await.expect("Postgres accepts its superuser");
        let create = format!("CREATE DATABASE {name} OWNER {OWNER}");
        admin.execute(sqlx::AssertSqlSafe(create)).await.expect("a database can be created");
        admin.close().await.ok();
        Database { url: self.url(OWNER, &name), superuser_url: self.url("postgres", &name) }
    }

    /// Kills the server and every session with SIGKILL; its data stay.
    pub async fn kill(&mut self) {
        let server = self.server.take();
        spawn_blocking(|| server.map(Server::kill)).await.expect("Postgres can be killed");
    }

    /// Kills the server if it runs and starts it again, which recovers what was committed.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn restart(&mut self) {
        self.kill().await;
        let folder = self.folder.clone();
        let server = spawn_blocking(move || serve(&folder)).await;
        self.server = Some(server.expect("Postgres starts again"));
    }

    /// Stops the server and every session with SIGSTOP: connections stay open, nothing answers.
    pub fn pause(&self) {
        self.server.iter().for_each(Server::pause);
    }

    /// Ends a [`pause`](Self::pause).
    pub fn resume(&self) {
        self.server.iter().for_each(Server::resume);
    }

    fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@localhost/{database}?host={}", self.folder.display())
    }

    fn launch() -> Self {
        let folder = private_folder("postgres");
        copy_tree(&template(), &folder.join("data"));
        let server = serve(&folder);
        Self { folder, server: Some(server) }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.server.is_none() {
            std::fs::remove_dir_all(&self.folder).ok();
        }
    }
}

/// Starts a server on `FOLDER/data`, with its socket in `FOLDER`, and waits until it is ready.
fn serve(folder: &Path) -> Server {
    let data = folder.join("data");
    let sockets = format!("unix_socket_directories={}", folder.display());
    let settings = SETTINGS.into_iter().chain([sockets.as_str()]).flat_map(|it| ["-c", it]);
    let directory = data.to_str().expect("temporary paths are UTF-8");
    let arguments = ["-D", directory].into_iter().chain(settings);
    let status = data.join("postmaster.pid");
    std::fs::remove_file(&status).ok(); // a killed server left it, and its pid may be another's
    let server =
        Server::start(folder, "QUIT", &programs().join("postgres/bin/postgres"), arguments);
    // The eighth line of the file is how Postgres itself says that it accepts connections.
    let ready = || {
        let lines = std::fs::read_to_string(&status).unwrap_or_default();
        lines.lines().nth(7).is_some_and(|line| line.trim() == "ready")
    };
    server.wait_until(folder, ready).unwrap_or_else(|why| panic!("Postgres: {why}"));
    server
}

/// A data directory to copy: `initdb` takes longer than the copy and the start together. It lies
/// beside the programs and is made by whoever needs it first.
fn template() -> PathBuf {
    let account = if Account::for_servers() == Account::Nobody { "nobody" } else { "own" };
    let version = run("postgres", &["--version"], "");
    let version = version.split_whitespace().last().expect("Postgres says its version");
    let name = format!("pgdata-{version}-{TEMPLATE_FORMAT}-{account}");
    let template = runtime().join(name);
    let _lock = lock(&template);
    if template.exists() {
        return template;
    }
    let folder = private_folder("template");
    let data = folder.join("data");
    let data_argument = data.to_str().expect("temporary paths are UTF-8");
    run("initdb", &["-D", data_argument].into_iter().chain(INITDB).collect::<Vec<_>>(), "");
    let single = ["--single", "-c", "fsync=off", "-D", data_argument, "template1"];
    run("postgres", &single, &format!("CREATE ROLE {OWNER} LOGIN\nCREATE EXTENSION vector\n"));
    let unfinished = template.with_added_extension("unfinished");
    std::fs::remove_dir_all(&unfinished).ok();
    copy_tree(&data, &unfinished);
    std::fs::remove_dir_all(&folder).ok();
    std::fs::rename(&unfinished, &template).expect("the template can be renamed");
    template
}

/// Small WAL segments keep the copies small.
const INITDB: [&str; 9] = [
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    "--wal-segsize=1",
    "--no-sync",
    "--no-data-checksums",
    "--no-instructions",
    "--set=password_encryption=scram-sha-256",
];

/// Runs one of Postgres' programs to its end with `input` and answers what it printed.
fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(programs().join("postgres/bin").join(program));
    command.args(arguments).env_clear().env("LC_ALL", "C.UTF-8").current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Account::for_servers().run(&mut command);
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{program} cannot be run: {e}"));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(input.as_bytes()).expect("the program reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("the program is our child");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
