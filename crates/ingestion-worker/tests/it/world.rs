//! The real worker on private servers, with a knowledge service that remembers what it was told.

mod knowledge;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bus::Bus;
use chassis::Shutdown;
use chassis::auth::{Authenticator, Layer, TokenHash, Verify};
use chassis::caller::{Caller, Role, Scope};
use chassis::config::Secret;
use chassis::grpc::{AuthedChannel, Endpoint, channel, with_token};
use chassis::readiness::Readiness;
use chassis::seal::Keyring;
use ingestion_worker::{Config, Parts, fetch, service};
use proto::ingestion::v1::intake_service_client::IntakeServiceClient;
use proto::ingestion::v1::source_service_client::SourceServiceClient;
use proto::ingestion::v1::{
    CreateSourceRequest, GetSourceRequest, ListRunsRequest, Run, RunSourceRequest, Source,
};
use proto::{Failure, MESSAGE_BYTES_MAX, ProjectId};
use sqlx::PgPool;
use testkit::{Nats, Postgres, Site, eventually};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::service::RoutesBuilder;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

pub(crate) use knowledge::Knowledge;

/// Long enough for a machine that does other work too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Everything a test needs.
pub(crate) struct World {
    pub(crate) site: Site,
    pub(crate) knowledge: Knowledge,
    pub(crate) pool: PgPool,
    pub(crate) project: ProjectId,
    setup: Setup,
    keyring: Keyring,
    nats: Nats,
    url: String,
    server: JoinSet<()>,
    worker: Option<(Shutdown, JoinSet<()>)>,
}

/// What tests change about the worker.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) fetch: fetch::Config,
    pub(crate) jobs: jobs::Config,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            // Manners towards hosts have tests of their own; the others are in a hurry.
            config: Config { host_interval_ms: 0, host_concurrency: 100, ..Config::default() },
            fetch: fetch::Config {
                allow_networks: vec!["127.0.0.0/8".parse().expect("a network")],
                total_timeout_ms: 3_000,
                body_bytes_max: 200_000,
                ..fetch::Config::default()
            },
            jobs: jobs::Config {
                lease_ms: 3_000,
                heartbeat_ms: 500,
                poll_ms: 50,
                redispatch_ms: 1_000,
                drain_ms: 500,
                ..jobs::Config::default()
            },
        }
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let database = Postgres::start().await.database().await;
        let config =
            database::Config { url: Secret::from(database.url), ..database::Config::default() };
        let pool = database::connect(&config).await.expect("the database is up");
        let folder = tempfile::tempdir().expect("a folder");
        let keyring = Keyring::open_or_create(&folder.path().join("seal.key")).expect("a key");
        let mut world = Self {
            site: Site::start().await,
            knowledge: Knowledge::start().await,
            pool,
            project: ProjectId::generate(),
            setup,
            keyring,
            nats: Nats::start().await,
            url: String::new(),
            server: JoinSet::new(),
            worker: None,
        };
        world.start_worker().await;
        world
    }

    /// Starts a worker with its server; the one before is gone.
    pub(crate) async fn start_worker(&mut self) {
        let bus = bus::Config {
            url: Secret::from(self.nats.url.clone()),
            user: self.nats.user.clone(),
            password: Secret::from(self.nats.password.clone()),
            network_is_private: false,
        };
        let Setup { config, fetch, jobs } = self.setup.clone();
        let readiness = Readiness::default();
        let service = service(Parts {
            config,
            fetch,
            jobs,
            pool: self.pool.clone(),
            bus: Bus::connect(&bus).await.expect("never fails for a server that is down"),
            keyring: self.keyring.clone(),
            knowledge: Endpoint {
                url: self.knowledge.url.clone(),
                token: "worker".to_owned().into(),
                ca_file: None,
            },
            readiness: readiness.clone(),
        })
        .expect("the parts are well formed");
        let mut routes = RoutesBuilder::default();
        (service.grpc.expect("it serves gRPC"))(&mut routes);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        self.url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let authenticator = Authenticator::new(Arc::new(Tokens(self.project)));
        let serve = Server::builder()
            .layer(Layer::new(authenticator))
            .add_routes(routes.routes())
            .serve_with_incoming(TcpIncoming::from(listener));
        self.server = JoinSet::new();
        self.server.spawn(async move { serve.await.expect("serving goes on") });
        let (stop, mut tasks) = (Shutdown::new(), JoinSet::new());
        let run = (service.run)(stop.clone());
        tasks.spawn(async move { run.await.expect("the worker goes on") });
        readiness.ready().await;
        self.worker = Some((stop, tasks));
    }

    /// Ends the worker in the middle of whatever it does, as a kill does: nothing is handed back.
    pub(crate) async fn kill_worker(&mut self) {
        let (_, mut tasks) = self.worker.take().expect("a worker runs");
        tasks.shutdown().await;
    }

    /// A client with the token of this name; see [`Tokens`].
    pub(crate) fn sources(&self, token: &str) -> SourceServiceClient<AuthedChannel> {
        SourceServiceClient::new(self.channel(token))
    }

    pub(crate) fn intake(&self) -> IntakeServiceClient<AuthedChannel> {
        IntakeServiceClient::new(self.channel("operator"))
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn channel(&self, token: &str) -> AuthedChannel {
        let channel = channel(&self.url).expect("a loopback URL");
        with_token(channel, token).expect("a plain token")
    }

    /// A request for a feed at a path of the site.
    pub(crate) fn feed(&self, path: &str) -> CreateSourceRequest {
        CreateSourceRequest {
            project_id: self.project.to_string(),
            kind: "feed".to_owned(),
            name: path.to_owned(),
            url: self.site.url(path),
            ..CreateSourceRequest::default()
        }
    }

    pub(crate) async fn create(&self, request: CreateSourceRequest) -> Result<Source, Failure> {
        let created = self.sources("operator").create_source(request).await;
        created.map(tonic::Response::into_inner).map_err(|status| Failure::from_status(&status))
    }

    /// Makes a feed source for a path of the site.
    pub(crate) async fn add(&self, path: &str) -> Source {
        self.create(self.feed(path)).await.expect("a good feed")
    }

    pub(crate) async fn get(&self, id: &str) -> Source {
        let request = GetSourceRequest { id: id.to_owned() };
        self.sources("viewer").get_source(request).await.expect("it is there").into_inner()
    }

    /// Asks for a run and waits until it has ended.
    pub(crate) async fn run(&self, id: &str) -> Run {
        let run = self.run_now(id).await;
        self.ended(id, &run).await
    }

    /// Asks for a run.
    pub(crate) async fn run_now(&self, id: &str) -> String {
        let request = RunSourceRequest { id: id.to_owned() };
        let answer = self.sources("operator").run_source(request).await;
        answer.expect("it may run").into_inner().run_id
    }

    /// The run, once it has ended.
    pub(crate) async fn ended(&self, id: &str, run: &str) -> Run {
        eventually(PATIENCE, || async {
            let runs = self.runs(id).await;
            let found = runs.iter().find(|it| it.id == run && it.finished_at.is_some());
            found.cloned().ok_or(runs)
        })
        .await
    }

    pub(crate) async fn runs(&self, id: &str) -> Vec<Run> {
        let request = ListRunsRequest { source_id: id.to_owned(), page_size: 0 };
        self.sources("viewer").list_runs(request).await.expect("listed").into_inner().runs
    }

    /// Waits until no job is at work, and returns those that died: kind and error.
    pub(crate) async fn settled(&self) -> Vec<(String, String)> {
        eventually(PATIENCE, || async {
            let open: Vec<(String, String, Option<String>)> = sqlx::query_as(
                "SELECT kind, subject, last_error FROM jobs.job
                 WHERE state IN ('queued', 'running')",
            )
            .fetch_all(&self.pool)
            .await
            .expect("the ledger can be read");
            if open.is_empty() { Ok(()) } else { Err(open) }
        })
        .await;
        sqlx::query_as("SELECT kind, last_error FROM jobs.job WHERE state = 'dead' ORDER BY id")
            .fetch_all(&self.pool)
            .await
            .expect("the ledger can be read")
    }
}

/// Knows four callers: an operator and a viewer of the world's project, an operator of another
/// project, and a viewer of all.
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
            ("everyone", (Role::Viewer, Scope::All)),
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
