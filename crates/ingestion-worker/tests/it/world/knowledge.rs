//! A knowledge service that speaks the real protocol, remembers everything, and fails on demand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::knowledge::v1::knowledge_service_server::{KnowledgeService, KnowledgeServiceServer};
use proto::knowledge::v1::submit_result::Outcome;
use proto::knowledge::v1::*;
use proto::{Failure, MESSAGE_BYTES_MAX, Reason};
use testkit::eventually;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use super::PATIENCE;

/// The service; it is gone with the value.
pub(crate) struct Knowledge {
    pub(crate) url: String,
    state: Arc<State>,
    _server: JoinSet<()>,
}

struct State {
    told: Mutex<Told>,
    /// Submissions pass it one by one; a test that takes the permit stops them.
    gate: Semaphore,
}

/// What it was told.
#[derive(Default)]
struct Told {
    /// Every submission, in order.
    submitted: Vec<DocumentInput>,
    /// The newest content of each document that is there.
    documents: BTreeMap<(String, String), DocumentInput>,
    ranks: Vec<SetSourceRankRequest>,
    purges: Vec<PurgeSourceRequest>,
    /// What the next submissions are answered instead.
    refusals: VecDeque<Failure>,
    /// Submissions that arrived at the gate.
    arrived: usize,
}

impl Knowledge {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(State { told: Mutex::default(), gate: Semaphore::new(1) });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let service = KnowledgeServiceServer::from_arc(state.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let serve =
            Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(listener));
        let mut server = JoinSet::new();
        server.spawn(async move { serve.await.expect("serving goes on") });
        Self { url, state, _server: server }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.state.lock()
    }

    /// The documents that are there, by external id.
    pub(crate) fn documents(&self) -> Vec<DocumentInput> {
        self.told().documents.values().cloned().collect()
    }

    /// Every submission that was taken, in order.
    pub(crate) fn submitted(&self) -> Vec<DocumentInput> {
        self.told().submitted.clone()
    }

    pub(crate) fn ranks(&self) -> Vec<SetSourceRankRequest> {
        self.told().ranks.clone()
    }

    pub(crate) fn purges(&self) -> Vec<PurgeSourceRequest> {
        self.told().purges.clone()
    }

    /// Answers the next submission with this.
    pub(crate) fn refuse_next(&self, failure: Failure) {
        self.told().refusals.push_back(failure);
    }

    /// Submissions wait until the guard is dropped.
    pub(crate) async fn close_gate(&self) -> tokio::sync::SemaphorePermit<'_> {
        self.state.gate.acquire().await.expect("never closed")
    }

    /// Waits until this many submissions have arrived, taken or not.
    pub(crate) async fn arrived(&self, count: usize) {
        eventually(PATIENCE, || async {
            let arrived = self.told().arrived;
            if arrived >= count { Ok(()) } else { Err(arrived) }
        })
        .await;
    }

    /// The one document with this title, once it is there.
    pub(crate) async fn document(&self, title: &str) -> DocumentInput {
        eventually(PATIENCE, || async {
            let documents = self.documents();
            let found = documents.iter().find(|it| it.title == title).cloned();
            found.ok_or_else(|| documents.into_iter().map(|it| it.title).collect::<Vec<_>>())
        })
        .await
    }

    /// Waits until there are this many documents.
    pub(crate) async fn holds(&self, count: usize) -> Vec<DocumentInput> {
        eventually(PATIENCE, || async {
            let documents = self.documents();
            if documents.len() == count { Ok(documents) } else { Err(documents.len()) }
        })
        .await
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, document: DocumentInput) -> SubmitResult {
        let mut told = self.lock();
        let seq = document.observed_seq;
        let purged = told
            .purges
            .iter()
            .any(|it| it.source_id == document.source_id && it.observed_seq >= seq);
        let key = (document.source_id.clone(), document.external_id.clone());
        let outcome = match told.documents.get(&key) {
            _ if purged => Outcome::Stale,
            None => Outcome::Created,
            Some(known) if known.observed_seq > document.observed_seq => Outcome::Stale,
            Some(known) if known.text == document.text && known.title == document.title => {
                Outcome::Unchanged
            }
            Some(_) => Outcome::Revised,
        };
        told.submitted.push(document.clone());
        if outcome != Outcome::Stale {
            told.documents.insert(key, document);
        }
        SubmitResult { outcome: outcome.into(), ..SubmitResult::default() }
    }
}

#[tonic::async_trait]
impl KnowledgeService for State {
    async fn submit_documents(
        &self,
        request: Request<SubmitDocumentsRequest>,
    ) -> Result<Response<SubmitDocumentsResponse>, Status> {
        let token = request.metadata().get("authorization");
        if token.is_none_or(|it| it != "Bearer worker") {
            return Err(Failure::new(Reason::Unauthenticated, "who calls?").into());
        }
        self.lock().arrived += 1;
        let _passed = self.gate.acquire().await.expect("never closed");
        if let Some(failure) = self.lock().refusals.pop_front() {
            return Err(failure.into());
        }
        let documents = request.into_inner().documents;
        let results = documents.into_iter().map(|it| self.take(it)).collect();
        Ok(Response::new(SubmitDocumentsResponse { results }))
    }

    async fn set_source_rank(
        &self,
        request: Request<SetSourceRankRequest>,
    ) -> Result<Response<SetSourceRankResponse>, Status> {
        self.lock().ranks.push(request.into_inner());
        Ok(Response::new(SetSourceRankResponse {}))
    }

    async fn purge_source(
        &self,
        request: Request<PurgeSourceRequest>,
    ) -> Result<Response<PurgeSourceResponse>, Status> {
        let request = request.into_inner();
        let mut told = self.lock();
        told.documents.retain(|(source, _), it| {
            *source != request.source_id || it.observed_seq > request.observed_seq
        });
        told.purges.push(request);
        Ok(Response::new(PurgeSourceResponse { documents: 0 }))
    }

    async fn search(&self, _: Request<SearchRequest>) -> Result<Response<SearchResponse>, Status> {
        Err(Status::unimplemented("the worker does not search"))
    }

    async fn get_document(
        &self,
        _: Request<GetDocumentRequest>,
    ) -> Result<Response<Document>, Status> {
        Err(Status::unimplemented("the worker does not read documents"))
    }

    async fn list_documents(
        &self,
        _: Request<ListDocumentsRequest>,
    ) -> Result<Response<ListDocumentsResponse>, Status> {
        Err(Status::unimplemented("the worker does not list documents"))
    }

    async fn delete_document(
        &self,
        _: Request<DeleteDocumentRequest>,
    ) -> Result<Response<DeleteDocumentResponse>, Status> {
        Err(Status::unimplemented("the worker does not delete documents"))
    }

    async fn count_documents(
        &self,
        _: Request<CountDocumentsRequest>,
    ) -> Result<Response<CountDocumentsResponse>, Status> {
        Err(Status::unimplemented("the worker does not count documents"))
    }

    async fn get_index(&self, _: Request<GetIndexRequest>) -> Result<Response<Index>, Status> {
        Err(Status::unimplemented("the worker does not ask for models"))
    }
}
