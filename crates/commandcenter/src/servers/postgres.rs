//! The private Postgres: reached over a unix socket in a closed folder, and with a password there.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chassis::config::Secret;
use nix::sys::signal::Signal;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use tokio::time::timeout;
use url::Url;

use super::data_dir::DataDir;
use super::leftover::{self, Left};
use super::supervise::Program;
use super::{Error, secrets};

/// Owns the database and is no superuser.
const OWNER: &str = "commandcenter";
const DATABASE: &str = "commandcenter";
const SUPERUSER: &str = "postgres";

/// What `initdb` and the first statements may take on a slow disk.
const SET_UP_WITHIN: Duration = Duration::from_secs(120);

/// Sized for a machine that has more to do; memory is touched only as it is used.
const SETTINGS: [&str; 16] = [
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "max_connections=100",
    "shared_buffers=128MB",
    "effective_cache_size=1GB",
    "work_mem=16MB",
    "maintenance_work_mem=256MB",
    "random_page_cost=1.1",
    "jit=off",
    // The process pools for asynchronous reads and for replication would idle in memory.
    "io_method=sync",
    "max_wal_senders=0",
    "max_logical_replication_workers=0",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_checkpoints=off",
    // A failed statement may hold a password or a document.
    "log_min_error_statement=panic",
];

/// Where a running server writes its pid, in a data directory.
pub(super) const PID_FILE: &str = "postgres/data/postmaster.pid";

/// Ends sessions at once and writes a checkpoint.
const QUIT: Signal = Signal::SIGINT;

/// A Postgres that a killed process left on a data directory.
pub(super) fn left(data_dir: &Path) -> Left<'_> {
    Left { name: "postgres", executable: "postgres", folder: data_dir, quit: QUIT }
}

/// How to run Postgres and how to reach it.
pub(super) struct Postgres {
    pub(super) program: Program,
    pub(super) url: Secret,
    pub(super) passwords: Passwords,
}

pub(super) struct Passwords {
    superuser: Secret,
    superuser_file: PathBuf,
    owner: Secret,
}

/// Makes the data directory at the first start, and ends a server that was left behind.
pub(super) async fn prepare(dir: &DataDir, programs: &Path) -> Result<Postgres, Error> {
    let secrets_folder = dir.own_folder("secrets")?;
    let superuser_file = secrets_folder.join("postgres.password");
    let passwords = Passwords {
        superuser: secrets::password(&superuser_file)?,
        superuser_file,
        owner: secrets::password(&secrets_folder.join("database.password"))?,
    };
    let folder = dir.passage("postgres")?;
    dir.servers_folder("postgres/socket")?;
    let data = folder.join("data");
    let status_file = dir.path().join(PID_FILE);
    let program = Program {
        name: "postgres",
        executable: programs.join("postgres/bin/postgres"),
        arguments: arguments(dir, &folder),
        folder,
        account: dir.account,
        log: dir.own_folder("logs")?.join("postgres.log"),
        quit: QUIT,
        ready: Arc::new({
            let status_file = status_file.clone();
            move |pid| {
                let ready = says_ready(&status_file, pid);
                Box::pin(async move { ready })
            }
        }),
    };
    leftover::end(left(&program.folder), &status_file).await?;
    if !data.exists() {
        initdb(dir, &program, &passwords.superuser).await?;
    }
    let url = url(dir, OWNER, &passwords.owner, DATABASE);
    secrets::write(&secrets_folder.join("database.url"), &url)?;
    Ok(Postgres { program, url, passwords })
}

fn arguments(dir: &DataDir, folder: &Path) -> Vec<std::ffi::OsString> {
    let sockets = format!("unix_socket_directories={}/postgres/socket", dir.text());
    let settings = SETTINGS.into_iter().map(str::to_owned).chain([sockets]);
    let fsync = (!dir.durable).then(|| "fsync=off".to_owned());
    let settings = settings.chain(fsync).flat_map(|it| ["-c".into(), it.into()]);
    ["-D".into(), folder.join("data").into()].into_iter().chain(settings).collect()
}

/// Makes the data directory beside its place and moves it there, so that half of one is never
/// taken for a whole one.
async fn initdb(dir: &DataDir, program: &Program, superuser: &Secret) -> Result<(), Error> {
    let unfinished = program.folder.join("data.new");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(Error::file("remove", &unfinished))?;
    }
    dir.servers_folder("postgres/data.new")?;
    let password_file = program.folder.join("initial.password");
    secrets::write(&password_file, superuser)?;
    dir.give(&password_file)?;
    let mut command = program.command(&program.executable.with_file_name("initdb"));
    command.arg("-D").arg(&unfinished).arg("--pwfile").arg(&password_file).kill_on_drop(true);
    command.args(["--username", SUPERUSER, "--auth=scram-sha-256", "--no-instructions"]);
    command.args(["--encoding=UTF8", "--locale=C.UTF-8"]);
    command.args((!dir.durable).then_some("--no-sync"));
    let output = timeout(SET_UP_WITHIN, command.output()).await;
    fs::remove_file(&password_file).ok();
    let output = output
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
        .map_err(Error::file("make the database in", &unfinished))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::Failed { program: "initdb", output: said });
    }
    let data = program.folder.join("data");
    fs::rename(&unfinished, &data).map_err(Error::file("make", &data))
}

/// Whether the server says in its status file that it accepts connections: its pid is on the first
/// line, its state on the eighth. A file left by another start has another pid.
fn says_ready(status_file: &Path, pid: u32) -> bool {
    let text = fs::read_to_string(status_file).unwrap_or_default();
    let line = |number| text.lines().nth(number).map(str::trim);
    line(0) == Some(&pid.to_string()) && line(7) == Some("ready")
}

/// Makes the owner, the database and its extensions unless they are there.
pub(super) async fn set_up_database(dir: &DataDir, passwords: &Passwords) -> Result<(), Error> {
    let set_up = async {
        let mut postgres = connect(dir, &passwords.superuser, "postgres").await?;
        if !exists(&mut postgres, "SELECT 1 FROM pg_roles WHERE rolname = $1", OWNER).await? {
            let password = passwords.owner.expose(); // hexadecimal digits need no escape
            let create = format!("CREATE ROLE {OWNER} LOGIN PASSWORD '{password}'");
            postgres.execute(AssertSqlSafe(create)).await?;
        }
        if !exists(&mut postgres, "SELECT 1 FROM pg_database WHERE datname = $1", DATABASE).await? {
            let create = format!("CREATE DATABASE {DATABASE} OWNER {OWNER}");
            postgres.execute(AssertSqlSafe(create)).await?;
        }
        postgres.close().await?;
        let mut database = connect(dir, &passwords.superuser, DATABASE).await?;
        database.execute("CREATE EXTENSION IF NOT EXISTS vector").await?;
        database.close().await
    };
    let done = timeout(SET_UP_WITHIN, set_up).await;
    done.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(|source| Error::Database {
        password_file: passwords.superuser_file.clone(),
        source,
    })
}

async fn connect(
    dir: &DataDir,
    password: &Secret,
    database: &str,
) -> Result<PgConnection, sqlx::Error> {
    let options: PgConnectOptions = url(dir, SUPERUSER, password, database).expose().parse()?;
    options.connect().await
}

async fn exists(
    connection: &mut PgConnection,
    query: &'static str,
    name: &str,
) -> Result<bool, sqlx::Error> {
    let row: Option<i32> = sqlx::query_scalar(query).bind(name).fetch_optional(connection).await?;
    Ok(row.is_some())
}

fn url(dir: &DataDir, user: &str, password: &Secret, database: &str) -> Secret {
    let text = format!("postgres://{user}:{}@localhost/{database}", password.expose());
    let mut url = Url::parse(&text).expect("user, password and database need no escape");
    let sockets = format!("{}/postgres/socket", dir.text());
    url.query_pairs_mut().append_pair("host", &sockets);
    Secret::from(String::from(url))
}
