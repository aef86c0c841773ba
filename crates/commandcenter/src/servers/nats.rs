//! The private `nats-server`: JetStream, one user, one loopback port that stays the same.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chassis::config::Secret;
use nix::sys::signal::Signal;
use rand::RngExt;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use uuid::Uuid;

use super::data_dir::DataDir;
use super::leftover::{self, Left};
use super::supervise::Program;
use super::{Error, secrets};

const USER: &str = "commandcenter";

/// Below the range that the kernel draws outgoing ports from: a client that reconnects to a server
/// which is down would otherwise now and then connect to itself and so take the server's port.
const PORTS: Range<u16> = 20_000..32_000;
const PORT_TRIES: usize = 100;

/// JetStream only carries; what it holds is a part of what Postgres has.
const STORE_BYTES_MAX: u64 = 4 << 30;
const MEMORY_STORE_BYTES_MAX: u64 = 64 << 20;

const GREETING_TIMEOUT: Duration = Duration::from_millis(500);
const GREETING_BYTES_MAX: u64 = 16 << 10;

/// Where a running server writes its pid, in a data directory.
pub(super) const PID_FILE: &str = "nats/store/nats.pid";

const QUIT: Signal = Signal::SIGTERM;

/// A NATS that a killed process left on a data directory.
pub(super) fn left(data_dir: &Path) -> Left<'_> {
    Left { name: "nats", executable: "nats-server", folder: data_dir, quit: QUIT }
}

/// How to run NATS and how to reach it.
pub(super) struct Nats {
    pub(super) program: Program,
    pub(super) config: bus::Config,
}

/// Writes the configuration and ends a server that was left behind.
pub(super) async fn prepare(dir: &DataDir, programs: &Path) -> Result<Nats, Error> {
    let secrets_folder = dir.own_folder("secrets")?;
    let password = secrets::password(&secrets_folder.join("nats.password"))?;
    let folder = dir.passage("nats")?;
    let store = dir.servers_folder("nats/store")?;
    let log = dir.own_folder("logs")?.join("nats.log");
    let pid_file = dir.path().join(PID_FILE);
    let server_name = format!("commandcenter-{}", Uuid::new_v4().simple());
    let mut program = Program {
        name: "nats",
        executable: programs.join("nats/nats-server"),
        arguments: vec!["--config".into(), folder.join("nats.conf").into()],
        folder: folder.clone(),
        account: dir.account,
        log,
        quit: QUIT,
        ready: Arc::new(|_| Box::pin(async { false })),
    };
    leftover::end(left(&program.folder), &pid_file).await?;
    let port = port(&secrets_folder.join("nats.port"))?;
    let name = server_name.clone();
    program.ready = Arc::new(move |_| {
        let name = name.clone();
        Box::pin(async move { greeting(port).await.is_some_and(|line| line.contains(&name)) })
    });
    let settings = json!({
        "server_name": server_name,
        "listen": format!("127.0.0.1:{port}"),
        "pid_file": pid_file,
        "authorization": { "user": USER, "password": password.expose() },
        "jetstream": {
            "store_dir": store,
            "max_file_store": STORE_BYTES_MAX,
            "max_memory_store": MEMORY_STORE_BYTES_MAX,
        },
    });
    let conf = folder.join("nats.conf");
    secrets::write(&conf, &Secret::from(format!("{settings:#}")))?;
    dir.give(&conf)?;
    let with_password = format!("nats://{USER}:{}@127.0.0.1:{port}", password.expose());
    secrets::write(&secrets_folder.join("nats.url"), &Secret::from(with_password))?;
    let url = Secret::from(format!("nats://127.0.0.1:{port}"));
    Ok(Nats {
        program,
        config: bus::Config { url, user: USER.to_owned(), password, ..bus::Config::default() },
    })
}

/// The port of the last time, unless somebody else has taken it meanwhile.
fn port(file: &PathBuf) -> Result<u16, Error> {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let last = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
    if let Some(port) = last.filter(free) {
        return Ok(port);
    }
    let mut random = (0..PORT_TRIES).map(|_| rand::rng().random_range(PORTS));
    let port = random.find(free).ok_or_else(|| Error::NoPort { ports: PORTS })?;
    let written = fs::File::create(file).and_then(|mut it| writeln!(it, "{port}"));
    written.map_err(Error::file("write", file))?;
    Ok(port)
}

/// The INFO line that a NATS server greets each connection with.
async fn greeting(port: u16) -> Option<String> {
    let line = async {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
        let mut line = String::new();
        BufReader::new(stream.take(GREETING_BYTES_MAX)).read_line(&mut line).await.ok()?;
        Some(line)
    };
    timeout(GREETING_TIMEOUT, line).await.ok().flatten()
}
