//! The gRPC service: checks what came and who calls, and answers in the wire's types.

mod wire;

use std::time::Instant;

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
    db::{
        document::{self, Document},
        embedding,
        embedding_model::{self, State},
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

/// The service.
pub struct Knowledge {
    pool: PgPool,
    models: Models,
    searcher: Searcher,
}

impl Knowledge {
    /// A service on its parts.
    #[must_use]
    pub fn new(pool: PgPool, models: Models, searcher: Searcher) -> Self {
        Self { pool, models, searcher }
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

    async fn index(&self) -> Result<api::Index, Failure> {
        let mut connection = self.connection().await?;
        let look = async {
            let (documents, chunks) = statistics::totals(&mut connection).await?;
            let waiting = index::waiting(&self.pool).await?;
            let mut models = Vec::new();
            for model in embedding_model::all(&mut connection).await? {
                let embedded = embedding::count(&mut connection, model.id).await?;
                let total = if model.state == State::Retired { embedded } else { chunks };
                models.push(api::Model {
                    state: model.state.as_str().to_owned(),
                    embedded: embedded as u64,
                    total: total as u64,
                    embedder: Some(wire::model(&model)),
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
        Ok(Response::new(api::SearchResponse {
            results: answer.found.iter().map(|found| wire::result(found, explain)).collect(),
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
        let size = wire::amount("page_size", request.page_size, PAGE_DEFAULT, PAGE_MAX)?;
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
        caller(&request)?;
        Ok(Response::new(self.index().await?))
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
