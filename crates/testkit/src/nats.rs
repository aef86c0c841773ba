//! A private `nats-server` with JetStream, and its faults.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::files::{private_folder, programs};
use crate::free_port;
use crate::server::Server;

/// Another process may take a port between our look and the server's start.
const START_TRIES: usize = 5;
const GREETING_TIMEOUT: Duration = Duration::from_millis(500);

/// A `nats-server` of the test's own, with JetStream, on a loopback port that it keeps over
/// restarts. It refuses whoever lacks the password, and is gone with the value.
pub struct Nats {
    /// `nats://127.0.0.1:PORT`, without the credentials.
    pub url: String,
    /// The one user.
    pub user: String,
    /// That user's password.
    pub password: String,
    plan: Plan,
    server: Option<Server>,
}

impl Nats {
    /// Starts a server with an empty store.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start() -> Self {
        spawn_blocking(|| {
            let folder = private_folder("nats");
            let mut plan = Plan { folder, port: 0, password: Uuid::new_v4().to_string() };
            let mut tries = 0;
            let server = loop {
                plan.port = free_port();
                tries += 1;
                match plan.launch() {
                    Ok(server) => break server,
                    Err(why) => assert!(tries < START_TRIES, "{why}"),
                }
            };
            Self {
                url: format!("nats://127.0.0.1:{}", plan.port),
                user: USER.to_owned(),
                password: plan.password.clone(),
                plan,
                server: Some(server),
            }
        })
        .await
        .expect("nats-server starts")
    }

    /// The URL with user and password in it; `async-nats` alone does not read them there.
    pub fn url_with_credentials(&self) -> String {
        format!("nats://{}:{}@127.0.0.1:{}", self.user, self.password, self.plan.port)
    }

    /// Kills the server with SIGKILL; its store stays.
    pub async fn kill(&mut self) {
        let server = self.server.take();
        spawn_blocking(|| server.map(Server::kill)).await.expect("nats-server can be killed");
    }

    /// Kills the server if it runs and starts it on the same port with the store it had.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn restart(&mut self) {
        self.kill().await;
        let plan = self.plan.clone();
        let launched = spawn_blocking(move || plan.launch()).await.expect("launching returns");
        self.server = Some(launched.unwrap_or_else(|why| panic!("{why}")));
    }

    /// Kills the server, removes its whole store and starts it on the same port.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn wipe_and_restart(&mut self) {
        self.kill().await;
        std::fs::remove_dir_all(self.plan.store()).expect("the store can be removed");
        self.restart().await;
    }

    /// Stops the process with SIGSTOP: connections stay open and nothing answers.
    pub fn pause(&self) {
        self.server.iter().for_each(Server::pause);
    }

    /// Ends a [`pause`](Self::pause).
    pub fn resume(&self) {
        self.server.iter().for_each(Server::resume);
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        if self.server.is_none() {
            std::fs::remove_dir_all(&self.plan.folder).ok();
        }
    }
}

const USER: &str = "commandcenter";

/// What a start and every restart have in common.
#[derive(Clone)]
struct Plan {
    folder: PathBuf,
    port: u16,
    password: String,
}

impl Plan {
    fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    fn launch(&self) -> Result<Server, String> {
        // The name is how we know our server from a stranger who took the port.
        let name = Uuid::new_v4().to_string();
        let (port, store) = (self.port.to_string(), self.store());
        let store = store.to_str().expect("temporary paths are UTF-8");
        let arguments = ["--addr", "127.0.0.1", "--port", &port, "--name", &name]
            .into_iter()
            .chain(["--jetstream", "--store_dir", store])
            .chain(["--user", USER, "--pass", &self.password]);
        let server =
            Server::start(&self.folder, "KILL", &programs().join("nats/nats-server"), arguments);
        server.wait_until(&self.folder, || self.greeting().is_some_and(|g| g.contains(&name)))?;
        Ok(server)
    }

    /// The INFO line that a NATS server greets each connection with.
    fn greeting(&self) -> Option<String> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        stream.set_read_timeout(Some(GREETING_TIMEOUT)).ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        Some(line)
    }
}
