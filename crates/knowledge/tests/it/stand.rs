//! What the tests stand on: the service, its servers, and clients with several rights.

use std::{collections::HashMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use bus::Bus;
use chassis::{
    Shutdown,
    auth::{Authenticator, Layer, TokenHash, Verify},
    caller::{Caller, Role, Scope},
    config::Secret,
    grpc::{AuthedChannel, Endpoint},
    readiness::Readiness,
};
use knowledge::{Config, config::Choice};
use proto::{
    Failure, ProjectId, SourceId,
    knowledge::v1::{
        DocumentInput, Index, SearchRequest, SearchResponse, SearchResult, SetSourceRankRequest,
        SubmitDocumentsRequest, SubmitResult, knowledge_service_client::KnowledgeServiceClient,
        submit_result::Outcome,
    },
};
use sqlx::PgPool;
use testkit::{Nats, Postgres, eventually};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_stream::wrappers::TcpListenerStream;

/// How long a test waits for work in the background.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) type Client = KnowledgeServiceClient<AuthedChannel>;

/// One process of the service.
pub(crate) struct Replica {
    /// As a service.
    pub(crate) service: Client,
    url: String,
    /// None once it was killed.
    shutdown: Option<Shutdown>,
    _tasks: JoinSet<()>,
}

impl Replica {
    /// Ends it as a kill would: nothing is drained.
    pub(crate) fn kill(mut self) {
        self.shutdown = None;
    }

    /// A client of another caller.
    pub(crate) fn client(&self, token: &str) -> Client {
        client(&self.url, token)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(shutdown) = &self.shutdown {
            shutdown.cancel();
        }
    }
}

/// A database, a bus, and who may call.
pub(crate) struct Stand {
    /// As the service's role.
    pub(crate) pool: PgPool,
    nats: Nats,
    callers: Arc<Callers>,
}

impl Stand {
    /// Fresh servers; callers are `service`, and `viewer` and `operator` of `project`.
    pub(crate) async fn start(project: ProjectId) -> Self {
        let database = Postgres::start().await.database().await;
        let config = database::Config { url: Secret::from(database.url), ..Default::default() };
        let pool = database::connect(&config).await.expect("Postgres is up");
        let callers = [
            ("service", Role::Service, Scope::All),
            ("viewer", Role::Viewer, Scope::Projects([project].into())),
            ("operator", Role::Operator, Scope::Projects([project].into())),
        ];
        let callers = callers.map(|(name, role, scope)| {
            let caller = Caller { id: name.into(), name: name.into(), role, scope };
            (TokenHash::of(name), caller)
        });
        Self { pool, nats: Nats::start().await, callers: Arc::new(Callers(callers.into())) }
    }

    /// A replica of the service.
    pub(crate) async fn replica(&self, config: Config) -> Replica {
        let bus = bus::Config {
            url: Secret::from(self.nats.url_with_credentials()),
            ..Default::default()
        };
        let bus = Bus::connect(&bus).await.expect("the URL is well formed");
        let readiness = Readiness::default();
        let jobs = jobs::Config { lease_ms: 3_000, heartbeat_ms: 500, ..Default::default() };
        let service = knowledge::service(config, jobs, self.pool.clone(), bus, readiness.clone());
        let mut routes = tonic::service::RoutesBuilder::default();
        service.grpc.expect("it serves gRPC")(&mut routes);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let mut tasks = JoinSet::new();
        let shutdown = Shutdown::new();
        let running = (service.run)(shutdown.clone());
        tasks.spawn(async move { running.await.expect("the service runs") });
        let gate = Layer::new(Authenticator::new(self.callers.clone()));
        let server = tonic::transport::Server::builder().layer(gate).add_routes(routes.routes());
        tasks.spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            server.serve_with_incoming(incoming).await.expect("it serves");
        });
        eventually(PATIENCE, || async {
            let reports = readiness.reports();
            match reports.get("knowledge") {
                Some(report) if report.state.serves() => Ok(()),
                _ => Err(reports),
            }
        })
        .await;
        Replica { service: client(&url, "service"), url, shutdown: Some(shutdown), _tasks: tasks }
    }
}

/// Without a model.
pub(crate) fn hash() -> Config {
    Config { embedder: Choice::HashV1, ..Config::default() }
}

/// A stand with one replica that has no model.
pub(crate) async fn plain() -> (Stand, Replica, ProjectId) {
    let project = ProjectId::generate();
    let stand = Stand::start(project).await;
    let replica = stand.replica(hash()).await;
    (stand, replica, project)
}

fn client(url: &str, token: &str) -> Client {
    let endpoint =
        Endpoint { url: url.to_owned(), token: Secret::from(token.to_owned()), ca_file: None };
    let channel = chassis::grpc::client(&endpoint).expect("the URL is well formed");
    KnowledgeServiceClient::new(channel)
        .max_decoding_message_size(proto::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(proto::MESSAGE_BYTES_MAX)
}

struct Callers(HashMap<TokenHash, Caller>);

impl Verify for Callers {
    fn verify(
        &self,
        token: TokenHash,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Caller>, Failure>> + Send + '_>> {
        Box::pin(async move { Ok(self.0.get(&token).cloned()) })
    }
}

/// A document of a source.
pub(crate) fn document(
    project: ProjectId,
    source: SourceId,
    name: &str,
    text: &str,
) -> DocumentInput {
    DocumentInput {
        project_id: project.to_string(),
        source_id: source.to_string(),
        external_id: name.to_owned(),
        observed_seq: 1,
        title: name.to_owned(),
        text: text.to_owned(),
        source_kind: "manual".into(),
        source_name: "tests".into(),
        priority: 5,
        ..DocumentInput::default()
    }
}

/// Submits and answers each item's result.
pub(crate) async fn submit(replica: &Replica, documents: Vec<DocumentInput>) -> Vec<SubmitResult> {
    let request = SubmitDocumentsRequest { documents };
    let answer = replica.service.clone().submit_documents(request).await;
    answer.expect("the batch is taken").into_inner().results
}

/// Submits one document and answers how it ended, and its id.
pub(crate) async fn submit_one(replica: &Replica, document: DocumentInput) -> (Outcome, String) {
    let result = submit(replica, vec![document]).await.remove(0);
    (result.outcome(), result.document_id)
}

/// Waits until nothing waits to be indexed or is being indexed.
pub(crate) async fn settled(stand: &Stand) {
    eventually(PATIENCE, || async {
        let open: Vec<(String, String, Option<String>)> = sqlx::query_as(
            "SELECT kind, state, last_error FROM jobs.job
             WHERE state IN ('queued', 'running', 'dead') AND kind LIKE 'knowledge.%'",
        )
        .fetch_all(&stand.pool)
        .await
        .expect("the ledger answers");
        if open.is_empty() { Ok(()) } else { Err(open) }
    })
    .await;
}

/// A search for words, ten results.
pub(crate) fn ask(query: &str) -> SearchRequest {
    SearchRequest { query: query.to_owned(), ..SearchRequest::default() }
}

/// A search that finds nothing but what has the words.
pub(crate) fn words(query: &str) -> SearchRequest {
    let mode = proto::knowledge::v1::search_request::Mode::Lexical.into();
    SearchRequest { mode, ..ask(query) }
}

/// Searches as `client`.
pub(crate) async fn search(client: &Client, request: SearchRequest) -> SearchResponse {
    client.clone().search(request).await.expect("the search is answered").into_inner()
}

/// The titles that a search as a service finds.
pub(crate) async fn titles(replica: &Replica, request: SearchRequest) -> Vec<String> {
    titles_of(&search(&replica.service, request).await.results)
}

pub(crate) fn titles_of(results: &[SearchResult]) -> Vec<String> {
    results.iter().map(|result| result.title.clone()).collect()
}

/// What the service says of its models.
pub(crate) async fn index(replica: &Replica) -> Index {
    let request = proto::knowledge::v1::GetIndexRequest {};
    replica.service.clone().get_index(request).await.expect("it answers").into_inner()
}

/// A source's rank.
pub(crate) async fn rank(replica: &Replica, source: SourceId, priority: u32, version: i64) {
    set_rank(replica, source, priority, version, true).await;
}

pub(crate) async fn set_rank(
    replica: &Replica,
    source: SourceId,
    priority: u32,
    version: i64,
    enabled: bool,
) {
    let request = SetSourceRankRequest {
        source_id: source.to_string(),
        project_id: ProjectId::generate().to_string(),
        name: format!("source {priority}"),
        kind: "manual".into(),
        priority,
        enabled,
        version,
    };
    replica.service.clone().set_source_rank(request).await.expect("the rank is taken");
}
