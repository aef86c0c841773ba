//! The gRPC service: checks what came and who calls, and answers in the wire's types.

mod wire;

use std::time::{Duration, Instant};

use chassis::{
    auth::caller,
    caller::{Caller, Role},
};
use proto::{
    DocumentId, Failure, Reason, SourceId,
    knowledge::v1::{self as api, knowledge_service_server::KnowledgeService, submit_result},
};
use sqlx::PgPool;
use tonic::{Request, Response, Status};

use crate::{
    cache::SingleFlight,
    db::{
        document::{self, Document},
        embedding,
        embedding_model::{self, Model, State},
        source_rank, statistics,
    },
    index,
    models::Models,
    removal,
    search::Searcher,
    submission::Submission,
    submit::{self, Accepted},
};

/// Documents on one page of a list, at most, and when nobody says.
const PAGE_MAX: u32 = 200;
const PAGE_DEFAULT: u32 = 50;
/// Sources counted in one call.
const COUNTED_MAX: usize = 1_000;
/// Models whose vectors are counted, and how long a count is good for.
const MODELS_COUNTED: usize = 100;
const TTL: Option<Duration> = Some(Duration::from_secs(10));

/// The service.
pub struct Knowledge {
    pool: PgPool,
    models: Models,
    searcher: Searcher,
    /// How many chunks each model has embedded, in its state, of so many: counting takes a while.
    embedded: SingleFlight<(i32, &'static str, i64), i64>,
}

impl Knowledge {
    /// A service on its parts.
    #[must_use]
    pub fn new(pool: PgPool, models: Models, searcher: Searcher) -> Self {
        let embedded = SingleFlight::new("embedded", MODELS_COUNTED, MODELS_COUNTED as u64, TTL);
        Self { pool, models, searcher, embedded }
    }

    async fn connection(&self) -> Result<sqlx::pool::PoolConnection<sqlx::Postgres>, Failure> {
        self.pool.acquire().await.map_err(database::failure)
    }

    /// A document that the caller may know of.
    async fn readable(
        &self,
        caller: &Caller,
        id: &str,
        revision: u32,
    ) -> Result<Document, Failure> {
        let parsed = DocumentId::parse("id", id)?;
        let revision = i32::try_from(revision).unwrap_or(i32::MAX);
        let mut connection = self.connection().await?;
        document::get(&mut connection, parsed, revision)
            .await
            .map_err(database::failure)?
            .filter(|document| caller.may_read(document.project_id))
            .ok_or_else(|| match revision {
                0 => Failure::not_found("document", id),
                revision => Failure::not_found("revision", format!("{revision} of {id}")),
            })
    }

    async fn submit(
        &self,
        documents: Vec<api::DocumentInput>,
    ) -> Result<Vec<api::SubmitResult>, Failure> {
        check_batch(&documents)?;
        let parsed: Vec<Result<Submission, Failure>> =
            documents.into_iter().map(Submission::parse).collect();
        let (refused, good): (Vec<_>, Vec<_>) =
            parsed.into_iter().enumerate().partition(|(_, parsed)| parsed.is_err());
        let (places, good): (Vec<usize>, Vec<Submission>) =
            good.into_iter().filter_map(|(at, parsed)| Some((at, parsed.ok()?))).unzip();
        let accepted = match good.as_slice() {
            [] => Vec::new(),
            good => submit::submit(&self.pool, good).await?,
        };
        let mut results: Vec<(usize, api::SubmitResult)> =
            places.into_iter().zip(accepted.into_iter().map(result)).collect();
        results.extend(
            refused.into_iter().filter_map(|(at, parsed)| Some((at, refusal(parsed.err()?)))),
        );
        results.sort_unstable_by_key(|(at, _)| *at);
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }

    /// The index as the caller may know of it: who reads some projects learns their size alone.
    async fn index(&self, caller: &Caller) -> Result<api::Index, Failure> {
        let projects = caller.readable(&[]);
        let mut connection = self.connection().await?;
        let look = async {
            let (documents, chunks) = match &projects {
                None => statistics::totals(&mut connection).await?,
                Some(projects) => document::totals(&mut connection, projects).await?,
            };
            let waiting = index::waiting(&mut *connection).await?;
            let mut models = Vec::new();
            for model in &embedding_model::all(&mut connection).await? {
                let embedded = match projects {
                    None => self.embedded(&mut connection, model, chunks).await?,
                    Some(_) => 0,
                };
                let total = match (&projects, model.state) {
                    (Some(_), _) => 0,
                    (None, State::Retired) => embedded,
                    (None, _) => chunks,
                };
                models.push(api::Model {
                    state: model.state.as_str().to_owned(),
                    embedded: embedded as u64,
                    total: total as u64,
                    embedder: Some(wire::model(model)),
                });
            }
            Ok((documents, chunks, waiting, models))
        };
        let (documents, chunks, waiting, models) = look.await.map_err(database::failure)?;
        Ok(api::Index {
            embedder: self.models.active().map(|active| wire::model(&active.model)),
            documents: documents as u64,
            chunks: chunks as u64,
            waiting,
            models,
            warning: self.models.warning().unwrap_or_default(),
        })
    }
}

impl Knowledge {
    async fn embedded(
        &self,
        connection: &mut sqlx::PgConnection,
        model: &Model,
        chunks: i64,
    ) -> Result<i64, sqlx::Error> {
        let key = (model.id, model.state.as_str(), chunks);
        let count = embedding::count(connection, model.id);
        Ok(*self.embedded.get(&key, |_| Some(1), count).await?.0)
    }
}

#[tonic::async_trait]
impl KnowledgeService for Knowledge {
    async fn submit_documents(
        &self,
        request: Request<api::SubmitDocumentsRequest>,
    ) -> Result<Response<api::SubmitDocumentsResponse>, Status> {
        caller(&request)?.require_role(Role::Service)?;
        let results = self.submit(request.into_inner().documents).await?;
        Ok(Response::new(api::SubmitDocumentsResponse { results }))
    }

    async fn search(
        &self,
        request: Request<api::SearchRequest>,
    ) -> Result<Response<api::SearchResponse>, Status> {
        let started = Instant::now();
        let caller = caller(&request)?;
        let request = request.into_inner();
        let explain = request.explain;
        let query = wire::query(request, &caller)?;
        let (answer, lookup) = self.searcher.search(query).await?;
        let embedder = answer.embedder.as_ref().map(wire::embedder);
        let cut = answer.lexical_cut;
        Ok(Response::new(api::SearchResponse {
            results: answer.found.iter().map(|found| wire::result(found, explain, cut)).collect(),
            embedder,
            duration_ms: started.elapsed().as_secs_f64() * 1e3,
            cache: lookup.as_str().to_owned(),
        }))
    }

    async fn get_document(
        &self,
        request: Request<api::GetDocumentRequest>,
    ) -> Result<Response<api::Document>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let document = self.readable(&caller, &request.id, request.revision).await?;
        Ok(Response::new(wire::document(document)))
    }

    async fn list_documents(
        &self,
        request: Request<api::ListDocumentsRequest>,
    ) -> Result<Response<api::ListDocumentsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let filter = wire::filter(request.filter.unwrap_or_default(), &caller)?;
        let after = match request.page_token.as_str() {
            "" => None,
            token => Some(DocumentId::parse("page_token", token)?.0),
        };
        let size = match request.page_size {
            0 => PAGE_DEFAULT,
            asked => asked.min(PAGE_MAX),
        };
        let mut connection = self.connection().await?;
        let documents = document::list(&mut connection, &filter, after, i64::from(size))
            .await
            .map_err(database::failure)?;
        let full = documents.len() == size as usize;
        let next = documents.last().filter(|_| full).map(|last| last.public_id.to_string());
        Ok(Response::new(api::ListDocumentsResponse {
            documents: documents.into_iter().map(wire::document).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn delete_document(
        &self,
        request: Request<api::DeleteDocumentRequest>,
    ) -> Result<Response<api::DeleteDocumentResponse>, Status> {
        let caller = caller(&request)?;
        let document = self.readable(&caller, &request.into_inner().id, 0).await?;
        caller.require(Role::Operator, document.project_id)?;
        removal::delete(&self.pool, &document).await?;
        Ok(Response::new(api::DeleteDocumentResponse {}))
    }

    async fn set_source_rank(
        &self,
        request: Request<api::SetSourceRankRequest>,
    ) -> Result<Response<api::SetSourceRankResponse>, Status> {
        caller(&request)?.require_role(Role::Service)?;
        let rank = wire::source_rank(request.into_inner())?;
        let set = async {
            let mut transaction = self.pool.begin().await?;
            if source_rank::set(&mut transaction, &rank).await? {
                let nothing = statistics::Change::default();
                statistics::record(&mut transaction, nothing, rank.version).await?;
            }
            transaction.commit().await
        };
        set.await.map_err(database::failure)?;
        Ok(Response::new(api::SetSourceRankResponse {}))
    }

    async fn purge_source(
        &self,
        request: Request<api::PurgeSourceRequest>,
    ) -> Result<Response<api::PurgeSourceResponse>, Status> {
        caller(&request)?.require_role(Role::Service)?;
        let request = request.into_inner();
        let source = SourceId::parse("source_id", &request.source_id)?;
        let documents = removal::purge(&self.pool, source, request.observed_seq).await?;
        Ok(Response::new(api::PurgeSourceResponse { documents }))
    }

    async fn count_documents(
        &self,
        request: Request<api::CountDocumentsRequest>,
    ) -> Result<Response<api::CountDocumentsResponse>, Status> {
        let caller = caller(&request)?;
        let ids = request.into_inner().source_ids;
        wire::at_most("source_ids", ids.len(), COUNTED_MAX)?;
        let sources: Vec<SourceId> =
            ids.iter().map(|id| SourceId::parse("source_ids", id)).collect::<Result<_, _>>()?;
        let projects = caller.readable(&[]);
        let mut connection = self.connection().await?;
        let counts = document::count_by_source(&mut connection, &sources, projects.as_deref())
            .await
            .map_err(database::failure)?;
        let documents =
            counts.into_iter().map(|(id, count)| (id.to_string(), count as u64)).collect();
        Ok(Response::new(api::CountDocumentsResponse { documents }))
    }

    async fn get_index(
        &self,
        request: Request<api::GetIndexRequest>,
    ) -> Result<Response<api::Index>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(self.index(&caller).await?))
    }
}

fn check_batch(documents: &[api::DocumentInput]) -> Result<(), Failure> {
    wire::at_most("documents", documents.len(), submit::DOCUMENTS_MAX)?;
    let bytes: usize = documents.iter().map(|document| document.text.len()).sum();
    if bytes > submit::BYTES_MAX {
        let message = format!(
            "documents have {bytes} bytes of text and {} is the limit of one call: send fewer",
            submit::BYTES_MAX
        );
        return Err(Failure::new(Reason::TooLarge, message.clone()).violation("documents", message));
    }
    Ok(())
}

fn result(accepted: Accepted) -> api::SubmitResult {
    use submit_result::Outcome as Wire;
    let outcome = match accepted.outcome {
        submit::Outcome::Created => Wire::Created,
        submit::Outcome::Revised => Wire::Revised,
        submit::Outcome::Unchanged => Wire::Unchanged,
        submit::Outcome::Stale => Wire::Stale,
        submit::Outcome::Deleted => Wire::Deleted,
    };
    api::SubmitResult {
        outcome: outcome.into(),
        document_id: accepted.document.map(|id| id.to_string()).unwrap_or_default(),
        job_id: accepted.job.map(|id| id.to_string()).unwrap_or_default(),
        ..api::SubmitResult::default()
    }
}

fn refusal(failure: Failure) -> api::SubmitResult {
    api::SubmitResult {
        outcome: submit_result::Outcome::Refused.into(),
        reason: failure.reason.to_string(),
        message: failure.message,
        ..api::SubmitResult::default()
    }
}
