//! A hub, two knowledge services and two ingestion workers on one Postgres and one NATS.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use testkit::{Database, Nats, Postgres, eventually, free_port};
use tokio::process::{Child, Command};

/// From a start to a first answer, in an unoptimised build that migrates.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// How long one request of the test may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// A dead worker's jobs are given to others after this, so that the test need not wait a minute.
const LEASE_MS: &str = "3000";
const HEARTBEAT_MS: &str = "500";

/// The workers, by their place in [`Fleet::workers`].
pub(crate) const WORKERS: usize = 4;

pub(crate) struct Fleet {
    pub(crate) postgres: Postgres,
    pub(crate) nats: Nats,
    pub(crate) database: Database,
    pub(crate) folder: TempDir,
    hub: Service,
    workers: Vec<Service>,
    client: reqwest::Client,
    url: String,
}

/// One process that can be killed and started again.
struct Service {
    binary: &'static str,
    env: Vec<(String, String)>,
    log: PathBuf,
    child: Option<Child>,
}

impl Service {
    fn start(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(&self.log);
        let child = Command::new(binary(self.binary))
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a log file"))
            .kill_on_drop(true)
            .spawn();
        self.child = Some(child.expect("the service starts"));
    }

    async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.expect("killed");
        }
    }
}

impl Fleet {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("cc-chaos-").tempdir().expect("a folder");
        let mut postgres = Postgres::dedicated().await;
        let database = postgres.database().await;
        // The server of this test survives kills like one in production.
        postgres.restart().await;
        let nats = Nats::start().await;
        let ports: Vec<u16> = (0..WORKERS).map(|_| free_port()).collect();
        let shared = shared_settings(&database, &nats, folder.path());
        let service = |name: &str, binary, port: u16, more: Vec<(&str, String)>| {
            let mut env = shared.clone();
            env.push(("COMMANDCENTER__GRPC__PORT".to_owned(), port.to_string()));
            env.extend(
                more.into_iter().map(|(key, value)| (format!("COMMANDCENTER__{key}"), value)),
            );
            Service { binary, env, log: folder.path().join(format!("{name}.log")), child: None }
        };
        let endpoint = |port: u16| format!("http://127.0.0.1:{port}");
        let token = |service: &str| folder.path().join(service).display().to_string();
        let ingestion = |name: &str, port: u16, knowledge: u16| {
            service(
                name,
                "ingestion-worker",
                port,
                vec![
                    ("ENDPOINTS__KNOWLEDGE__URL", endpoint(knowledge)),
                    ("ENDPOINTS__KNOWLEDGE__TOKEN_FILE", token("ingestion-worker")),
                    ("INGESTION__SEAL_KEY_FILE", token("seal.key")),
                    ("FETCH__ALLOW_NETWORKS", "127.0.0.0/8".to_owned()),
                ],
            )
        };
        let mut workers = vec![
            service("knowledge-1", "knowledge", ports[0], vec![]),
            service("knowledge-2", "knowledge", ports[1], vec![]),
            ingestion("ingestion-1", ports[2], ports[0]),
            ingestion("ingestion-2", ports[3], ports[1]),
        ];
        let http = free_port();
        let mut hub = service(
            "hub",
            "hub",
            free_port(),
            vec![
                ("HTTP__PORT", http.to_string()),
                ("HUB__ADMIN_TOKEN_FILE", token("admin.token")),
                ("HUB__SERVICE_TOKEN_FILES__HUB", token("hub")),
                ("HUB__SERVICE_TOKEN_FILES__INGESTION-WORKER", token("ingestion-worker")),
                ("ENDPOINTS__INGESTION__URL", endpoint(ports[2])),
                ("ENDPOINTS__INGESTION__TOKEN_FILE", token("hub")),
                ("ENDPOINTS__KNOWLEDGE__URL", endpoint(ports[0])),
                ("ENDPOINTS__KNOWLEDGE__TOKEN_FILE", token("hub")),
                // Nobody looks after stacks here; all else goes on.
                ("ENDPOINTS__ORCHESTRATOR__URL", endpoint(free_port())),
                ("ENDPOINTS__ORCHESTRATOR__TOKEN_FILE", token("hub")),
            ],
        );
        hub.start();
        workers.iter_mut().for_each(Service::start);
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(chassis::tls::client_config())
            .timeout(REQUEST_TIMEOUT)
            .build();
        let client = client.expect("a client");
        let url = format!("http://127.0.0.1:{http}");
        let fleet = Self { postgres, nats, database, folder, hub, workers, client, url };
        fleet.answers().await;
        fleet
    }

    async fn answers(&self) {
        let answered = eventually(START_DEADLINE, || async {
            let projects = self.post("/api/projects", &json!({ "slug": "p" })).await;
            let index = self.get("/api/knowledge/index").await;
            let sources = self.get("/api/sources").await;
            match (projects, index, sources) {
                (Ok(_), Ok(_), Ok(_)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        answered.await;
    }

    /// kill -9 of a worker, and a new start at once.
    pub(crate) async fn kill_worker(&mut self, worker: usize) {
        self.workers[worker].kill().await;
        self.workers[worker].start();
    }

    /// The JSON of a GET, or what went wrong.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, String> {
        self.send(self.client.get(format!("{}{path}", self.url))).await
    }

    /// The JSON of a POST, or what went wrong.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.send(self.client.post(format!("{}{path}", self.url)).json(body)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value, String> {
        let token = fs::read_to_string(self.folder.path().join("admin.token"));
        let token = token.map_err(|error| format!("no token yet: {error}"))?;
        let answer =
            request.bearer_auth(token.trim()).send().await.map_err(|e| format!("{e:?}"))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        if !status.is_success() {
            return Err(format!("{status}: {text}"));
        }
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
    }

    /// A number that a statement counts in the database.
    pub(crate) async fn count(&self, statement: &'static str) -> Result<i64, String> {
        let mut connection =
            PgConnection::connect(&self.database.url).await.map_err(|e| e.to_string())?;
        sqlx::query_scalar(statement).fetch_one(&mut connection).await.map_err(|e| e.to_string())
    }

    /// The last lines of every service, for a failure's message.
    pub(crate) fn logs(&self) -> String {
        let services = self.workers.iter().chain([&self.hub]);
        services
            .map(|service| {
                let text = fs::read_to_string(&service.log).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                let tail = lines[lines.len().saturating_sub(12)..].join("\n");
                format!("== {}\n{tail}\n", service.log.display())
            })
            .collect()
    }
}

fn shared_settings(database: &Database, nats: &Nats, folder: &Path) -> Vec<(String, String)> {
    // Each token's file is there before any service starts.
    for service in ["hub", "ingestion-worker"] {
        let token = format!("token-of-{service}-{}", std::process::id());
        fs::write(folder.join(service), token).expect("written");
    }
    [
        ("DATABASE_URL", database.url.clone()),
        ("NATS_URL", nats.url_with_credentials()),
        ("COMMANDCENTER__HTTP__PORT", "0".to_owned()),
        ("COMMANDCENTER__ADMIN__PORT", "0".to_owned()),
        ("COMMANDCENTER__GRPC__PORT_MAY_MOVE", "false".to_owned()),
        ("COMMANDCENTER__JOBS__LEASE_MS", LEASE_MS.to_owned()),
        ("COMMANDCENTER__JOBS__HEARTBEAT_MS", HEARTBEAT_MS.to_owned()),
        ("COMMANDCENTER__KNOWLEDGE__EMBEDDER", "hash-v1".to_owned()),
        ("COMMANDCENTER__INGESTION__HOST_INTERVAL_MS", "0".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .to_vec()
}

/// A service's program, built beside this test.
fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    let folder = test.parent().and_then(Path::parent).expect("the target folder");
    let binary = folder.join(name);
    assert!(binary.exists(), "{} is missing: cargo build --workspace --bins", binary.display());
    binary
}
