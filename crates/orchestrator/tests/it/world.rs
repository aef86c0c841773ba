//! The real service on a private Postgres, and the machine's Engine or one of the test's own.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chassis::Shutdown;
use chassis::auth::{Authenticator, Layer, TokenHash, Verify};
use chassis::caller::{Caller, Role, Scope};
use chassis::config::Secret;
use chassis::grpc::{AuthedChannel, channel, with_token};
use chassis::readiness::Readiness;
use chassis::seal::Keyring;
use orchestrator::{Config, Failpoint, Parts, SCHEMA, db, logs, service};
use proto::orchestrator::v1;
use proto::orchestrator::v1::health_service_client::HealthServiceClient;
use proto::orchestrator::v1::operation_service_client::OperationServiceClient;
use proto::orchestrator::v1::stack_service_client::StackServiceClient;
use proto::{Failure, ProjectId};
use sqlx::PgPool;
use testkit::{Docker, Engine, Postgres, eventually, free_port};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tonic::service::RoutesBuilder;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// The key that seals secrets, in a world's folder.
const SEAL_KEY: &str = "seal.key";

/// Long enough for a machine that does other work too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Everything a test needs.
pub(crate) struct World {
    // First, so that nobody makes anew what `docker` removes.
    running: Option<Running>,
    pub(crate) docker: Docker,
    pub(crate) pool: PgPool,
    pub(crate) project: ProjectId,
    pub(crate) image: String,
    pub(crate) config: Config,
    keyring: Keyring,
    database: String,
    folder: tempfile::TempDir,
}

/// One orchestrator.
pub(crate) struct Running {
    url: String,
    _server: JoinSet<()>,
    tasks: JoinSet<()>,
    stop: Shutdown,
    process: Option<Child>,
}

impl World {
    /// A world with an orchestrator.
    pub(crate) async fn start() -> Self {
        let mut world = Self::without().await;
        world.serve(Failpoint::default()).await;
        world
    }

    /// A world whose orchestrator is to be started.
    pub(crate) async fn without() -> Self {
        let database = Postgres::start().await.database().await;
        Self::on(&database.url).await
    }

    pub(crate) async fn on(url: &str) -> Self {
        Self::of(url, Docker::shared().await).await
    }

    /// A world on an Engine of the test's own, whose orchestrator is to be started.
    pub(crate) async fn within(engine: &Engine) -> Self {
        let database = Postgres::start().await.database().await;
        let mut world = Self::of(&database.url, engine.docker().await).await;
        world.config.subnets = own_subnets();
        world
    }

    async fn of(url: &str, docker: Docker) -> Self {
        let config =
            database::Config { url: Secret::from(url.to_owned()), ..database::Config::default() };
        let pool = database::connect(&config).await.expect("the database is up");
        database::migrate(&pool, SCHEMA, &db::MIGRATOR).await.expect("the schema is made");
        // What the service makes goes with the value that removes what the test makes.
        sqlx::query("UPDATE orchestrator.installation SET id = $1")
            .bind(docker.owner)
            .execute(&pool)
            .await
            .expect("the owner is set");
        let folder = tempfile::tempdir().expect("a folder");
        let logs = logs::Config { folder: folder.path().join("logs"), ..logs::Config::default() };
        let docker_socket = docker.host.trim_start_matches("unix://").into();
        let subnets = subnets();
        Self {
            image: docker.chaosd().await,
            docker,
            pool,
            project: ProjectId::generate(),
            config: Config {
                docker_socket,
                lease_ms: 1_500,
                subnets,
                bridges: String::new(),
                logs,
                ..Config::default()
            },
            keyring: Keyring::open_or_create(&folder.path().join(SEAL_KEY)).expect("a key"),
            database: url.to_owned(),
            folder,
            running: None,
        }
    }

    /// Starts an orchestrator beside those that run.
    pub(crate) async fn spawn(&self, failpoint: Failpoint) -> Running {
        let readiness = Readiness::default();
        let service = service(Parts {
            config: self.config.clone(),
            pool: self.pool.clone(),
            keyring: self.keyring.clone(),
            readiness: readiness.clone(),
            failpoint,
        })
        .expect("the parts are well formed");
        let mut routes = RoutesBuilder::default();
        (service.grpc.expect("it serves gRPC"))(&mut routes);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let serve = Server::builder()
            .layer(Layer::new(Authenticator::new(Arc::new(Tokens(self.project)))))
            .add_routes(routes.routes())
            .serve_with_incoming(TcpIncoming::from(listener));
        let (mut server, mut tasks, stop) = (JoinSet::new(), JoinSet::new(), Shutdown::new());
        server.spawn(async move { serve.await.expect("serving goes on") });
        let run = (service.run)(stop.clone());
        tasks.spawn(async move { run.await.expect("the service goes on") });
        readiness.ready().await;
        Running { url, _server: server, tasks, stop, process: None }
    }

    /// Starts the orchestrator as a process of its own, which can be killed.
    pub(crate) async fn serve_process(&mut self) {
        let port = free_port();
        let config = &self.config;
        let settings = [
            ("GRPC__PORT", port.to_string()),
            ("ADMIN__PORT", free_port().to_string()),
            ("ORCHESTRATOR__DOCKER_SOCKET", config.docker_socket.display().to_string()),
            ("ORCHESTRATOR__SUBNETS", config.subnets.clone()),
            ("ORCHESTRATOR__LEASE_MS", config.lease_ms.to_string()),
            (
                "ORCHESTRATOR__SEAL_KEY_FILE",
                self.folder.path().join(SEAL_KEY).display().to_string(),
            ),
            ("ORCHESTRATOR__LOGS__FOLDER", config.logs.folder.display().to_string()),
        ];
        let settings = settings.map(|(key, value)| (format!("COMMANDCENTER__{key}"), value));
        let process = Command::new(env!("CARGO_BIN_EXE_orchestrator"))
            .envs(settings)
            .env("DATABASE_URL", &self.database)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        self.running = Some(Running {
            url: format!("http://127.0.0.1:{port}"),
            _server: JoinSet::new(),
            tasks: JoinSet::new(),
            stop: Shutdown::new(),
            process: Some(process.expect("the binary is built with the test")),
        });
        eventually(PATIENCE, || TcpStream::connect(("127.0.0.1", port))).await;
    }

    /// Lets a process know the callers of this test, as the hub does.
    pub(crate) async fn know_callers(&self) {
        let function = format!(
            "CREATE FUNCTION hub.verify_token(hash bytea)
             RETURNS TABLE (id text, name text, role text, all_projects boolean, projects uuid[])
             LANGUAGE sql AS $$
                 SELECT role, role, role, false, ARRAY['{}'::uuid]
                 FROM (VALUES ('operator'), ('viewer')) AS known (role)
                 WHERE hash = sha256(role::bytea)
             $$",
            self.project
        );
        for statement in ["CREATE SCHEMA hub".to_owned(), function] {
            let made = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&self.pool).await;
            made.expect("the schema is ours");
        }
    }

    pub(crate) async fn serve(&mut self, failpoint: Failpoint) {
        self.running = Some(self.spawn(failpoint).await);
    }

    /// Ends the orchestrator in the middle of whatever it does, as a kill does.
    pub(crate) async fn kill(&mut self) {
        self.running.take().expect("it runs").kill().await;
    }

    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs")
    }

    /// A service of the test image that does these actions.
    pub(crate) fn service(&self, name: &str, actions: &str) -> v1::ServiceSpec {
        v1::ServiceSpec {
            name: name.to_owned(),
            image: self.image.clone(),
            command: actions.split_whitespace().map(str::to_owned).collect(),
            stop: Some(v1::Stop { signal: "SIGTERM".to_owned(), grace: Some(seconds(2)) }),
            scan: Some(v1::ScanPolicy { policy: "off".to_owned(), ..v1::ScanPolicy::default() }),
            ..v1::ServiceSpec::default()
        }
    }

    pub(crate) async fn apply(&self, spec: v1::StackSpec) -> Result<v1::Operation, Failure> {
        let request = v1::ApplyStackRequest { project_id: self.id(), spec: Some(spec) };
        refused(self.running().stacks("operator").apply_stack(request).await)
    }

    /// The effective spec.
    pub(crate) async fn stored(&self) -> v1::StackSpec {
        let request = v1::GetStackRequest { project_id: self.id() };
        let stack = refused(self.running().stacks("viewer").get_stack(request).await);
        stack.expect("it is there").spec.expect("it has one")
    }

    /// Applies a spec and waits until it is as it says.
    pub(crate) async fn up(&self, spec: v1::StackSpec) -> v1::Operation {
        let operation = self.apply(spec).await.expect("a good spec");
        let ended = self.ended(&operation.id).await;
        assert_eq!(ended.state, "succeeded", "{ended:#?}");
        ended
    }

    /// The operation, once it has ended.
    pub(crate) async fn ended(&self, id: &str) -> v1::Operation {
        eventually(PATIENCE, || async {
            let operation = self.operation(id).await;
            if operation.state == "running" { Err(operation) } else { Ok(operation) }
        })
        .await
    }

    pub(crate) async fn operation(&self, id: &str) -> v1::Operation {
        let request = v1::GetOperationRequest { id: id.to_owned() };
        let mut client = OperationServiceClient::new(self.running().channel("viewer"));
        client.get_operation(request).await.expect("it is there").into_inner()
    }

    pub(crate) async fn remove(&self, volumes: bool) -> v1::Operation {
        let request = v1::RemoveStackRequest { project_id: self.id(), volumes };
        let answer = self.running().stacks("operator").remove_stack(request).await;
        self.ended(&answer.expect("it may").into_inner().id).await
    }

    pub(crate) async fn health(&self) -> v1::StackHealth {
        let request = v1::GetHealthRequest { project_id: self.id() };
        let mut client = HealthServiceClient::new(self.running().channel("viewer"));
        client.get_health(request).await.expect("it is told").into_inner()
    }

    /// The health once its status is `status`.
    pub(crate) async fn becomes(&self, status: &str) -> v1::StackHealth {
        eventually(PATIENCE, || async {
            let health = self.health().await;
            if health.status == status { Ok(health) } else { Err(health) }
        })
        .await
    }

    /// Names, ids or whatever `format` asks for, of our containers, sorted.
    pub(crate) async fn containers(&self, format: &str) -> Vec<String> {
        let filter = format!("label={}", self.docker.label());
        let list = ["ps", "--all", "--no-trunc", "--filter", &filter, "--format", format];
        lines(&self.docker.run(&list).await)
    }

    /// The names of our `kind`s (network, volume), sorted.
    pub(crate) async fn names(&self, kind: &str) -> Vec<String> {
        let filter = format!("label={}", self.docker.label());
        let list = [kind, "ls", "--filter", &filter, "--format", "{{.Name}}"];
        lines(&self.docker.run(&list).await)
    }

    /// What `docker inspect` says of the one container of a service.
    pub(crate) async fn inspect(&self, service: &str, format: &str) -> String {
        let ids = self.ids(service).await;
        assert_eq!(ids.len(), 1, "containers of {service}");
        self.docker.run(&["inspect", "--format", format, &ids[0]]).await
    }

    pub(crate) async fn ids(&self, service: &str) -> Vec<String> {
        let (owner, service) =
            (format!("label={}", self.docker.label()), format!("label=cc.service={service}"));
        let list =
            ["ps", "--all", "--quiet", "--no-trunc", "--filter", &owner, "--filter", &service];
        lines(&self.docker.run(&list).await)
    }

    pub(crate) fn id(&self) -> String {
        self.project.to_string()
    }
}

impl Running {
    pub(crate) async fn kill(mut self) {
        self.tasks.shutdown().await;
        if let Some(mut process) = self.process.take() {
            process.kill().await.expect("it is our child");
        }
    }

    /// Ends it as a signal does.
    pub(crate) async fn drain(mut self) {
        self.stop.cancel();
        self.tasks.join_next().await;
    }

    pub(crate) fn stacks(&self, token: &str) -> StackServiceClient<AuthedChannel> {
        StackServiceClient::new(self.channel(token))
    }

    pub(crate) fn channel(&self, token: &str) -> AuthedChannel {
        let channel = channel(&self.url).expect("a loopback URL");
        with_token(channel, token).expect("a plain token")
    }
}

pub(crate) fn refused<T>(answer: Result<tonic::Response<T>, tonic::Status>) -> Result<T, Failure> {
    answer.map(tonic::Response::into_inner).map_err(|status| Failure::from_status(&status))
}

pub(crate) fn stack(services: impl IntoIterator<Item = v1::ServiceSpec>) -> v1::StackSpec {
    v1::StackSpec { services: services.into_iter().collect(), ..v1::StackSpec::default() }
}

pub(crate) fn after(service: &str, condition: &str) -> v1::Dependency {
    v1::Dependency {
        service: service.to_owned(),
        condition: condition.to_owned(),
        ..v1::Dependency::default()
    }
}

pub(crate) fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// A pool of this process's own, so that test processes do not take each other's addresses.
fn subnets() -> String {
    format!("10.{}.0.0/16", 128 + std::process::id() % 100)
}

/// A pool for an Engine of a test's own: two Engines know nothing of each other's networks until
/// they are made.
fn own_subnets() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id().wrapping_add(NUMBER.fetch_add(1, Ordering::Relaxed));
    format!("10.{}.0.0/16", 228 + number % 24)
}

/// Knows four callers: an operator and a viewer of the world's project, an operator of another,
/// and one of our own services.
struct Tokens(ProjectId);

impl Verify for Tokens {
    fn verify(
        &self,
        token: TokenHash,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Option<Caller>, Failure>> + Send + '_>> {
        let mine = Scope::Projects([self.0].into());
        let other = Scope::Projects([ProjectId::generate()].into());
        let callers = HashMap::from([
            ("operator", (Role::Operator, mine.clone())),
            ("viewer", (Role::Viewer, mine)),
            ("stranger", (Role::Operator, other)),
            ("service", (Role::Service, Scope::All)),
        ]);
        let found = callers.into_iter().find(|(name, _)| TokenHash::of(name) == token);
        let caller = found.map(|(name, (role, scope))| Caller {
            id: name.to_owned(),
            name: name.to_owned(),
            role,
            scope,
        });
        Box::pin(async move { Ok(caller) })
    }
}
