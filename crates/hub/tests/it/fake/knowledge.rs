//! `KnowledgeService`.

use chassis::caller::Role;
use chrono::Utc;
use proto::{
    ProjectId,
    knowledge::v1::{self as wire, knowledge_service_server::KnowledgeService},
    time::to_wire,
};
use tonic::{Request, Response, Status};

use super::{Fake, missing, sees};

fn embedder() -> wire::Embedder {
    wire::Embedder {
        provider: "local".to_owned(),
        name: "hash-v1".to_owned(),
        dimensions: 384,
        semantic: false,
    }
}

impl Fake {
    fn document(
        &self,
        caller: &chassis::caller::Caller,
        id: &str,
    ) -> Result<wire::Document, Status> {
        let documents = self.0.documents.lock().unwrap();
        let found = documents.iter().find(|d| d.id == id && sees(caller, &d.project_id));
        found.cloned().ok_or_else(|| missing("document", id))
    }
}

#[tonic::async_trait]
impl KnowledgeService for Fake {
    async fn submit_documents(
        &self,
        _: Request<wire::SubmitDocumentsRequest>,
    ) -> Result<Response<wire::SubmitDocumentsResponse>, Status> {
        Err(Status::unimplemented("the hub never submits documents"))
    }

    async fn search(
        &self,
        request: Request<wire::SearchRequest>,
    ) -> Result<Response<wire::SearchResponse>, Status> {
        let caller = self.enter("search", &request)?;
        let asked = request.into_inner();
        self.0.searches.lock().unwrap().push(asked.clone());
        let documents = self.0.documents.lock().unwrap();
        let seen = documents.iter().filter(|document| sees(&caller, &document.project_id));
        let result = |document: &wire::Document| wire::SearchResult {
            document_id: document.id.clone(),
            title: document.title.clone(),
            url: document.url.clone(),
            text: "Ferris is a <b>crab</b> & friend.\nIt walks sideways.".to_owned(),
            score: 0.0327,
            source_id: document.source_id.clone(),
            source_name: document.source_name.clone(),
            source_kind: document.source_kind.clone(),
            project_id: document.project_id.clone(),
            heading: "Guide > Mascot".to_owned(),
            authors: document.authors.clone(),
            tags: document.tags.clone(),
            published_at: Some(to_wire(Utc::now())),
            highlights: vec![wire::Span { start: 0, end: 6 }],
            also_in: Vec::new(),
            explanation: asked.explain.then(|| wire::Explanation {
                lexical_rank: 1,
                priority_factor: 1.04,
                priority: 7,
                ..Default::default()
            }),
            chunk_ordinal: 0,
        };
        Ok(Response::new(wire::SearchResponse {
            results: seen.map(result).collect(),
            embedder: Some(embedder()),
            duration_ms: 3.2,
            cache: "miss".to_owned(),
        }))
    }

    async fn get_document(
        &self,
        request: Request<wire::GetDocumentRequest>,
    ) -> Result<Response<wire::Document>, Status> {
        let caller = self.enter("get_document", &request)?;
        self.document(&caller, &request.get_ref().id).map(Response::new)
    }

    async fn list_documents(
        &self,
        request: Request<wire::ListDocumentsRequest>,
    ) -> Result<Response<wire::ListDocumentsResponse>, Status> {
        let caller = self.enter("list_documents", &request)?;
        let documents = self.0.documents.lock().unwrap();
        let seen = documents.iter().filter(|document| sees(&caller, &document.project_id));
        Ok(Response::new(wire::ListDocumentsResponse {
            documents: seen
                .map(|document| wire::Document { text: String::new(), ..document.clone() })
                .collect(),
            next_page_token: String::new(),
        }))
    }

    async fn delete_document(
        &self,
        request: Request<wire::DeleteDocumentRequest>,
    ) -> Result<Response<wire::DeleteDocumentResponse>, Status> {
        let caller = self.enter("delete_document", &request)?;
        let document = self.document(&caller, &request.get_ref().id)?;
        let project = ProjectId::parse("project_id", &document.project_id)?;
        caller.require(Role::Operator, project)?;
        self.0.documents.lock().unwrap().retain(|other| other.id != document.id);
        Ok(Response::new(wire::DeleteDocumentResponse {}))
    }

    async fn set_source_rank(
        &self,
        _: Request<wire::SetSourceRankRequest>,
    ) -> Result<Response<wire::SetSourceRankResponse>, Status> {
        Err(Status::unimplemented("the hub never ranks sources"))
    }

    async fn purge_source(
        &self,
        _: Request<wire::PurgeSourceRequest>,
    ) -> Result<Response<wire::PurgeSourceResponse>, Status> {
        Err(Status::unimplemented("the hub never purges sources"))
    }

    async fn count_documents(
        &self,
        request: Request<wire::CountDocumentsRequest>,
    ) -> Result<Response<wire::CountDocumentsResponse>, Status> {
        self.enter("count_documents", &request)?;
        let ids = request.into_inner().source_ids;
        let documents = ids.into_iter().map(|id| (id, 1_234)).collect();
        Ok(Response::new(wire::CountDocumentsResponse { documents }))
    }

    async fn get_index(
        &self,
        request: Request<wire::GetIndexRequest>,
    ) -> Result<Response<wire::Index>, Status> {
        self.enter("get_index", &request)?;
        Ok(Response::new(wire::Index {
            embedder: Some(embedder()),
            documents: 12_345,
            chunks: 98_765,
            waiting: 7,
            models: vec![wire::Model {
                embedder: Some(wire::Embedder { name: "MiniLM".to_owned(), ..embedder() }),
                state: "building".to_owned(),
                embedded: 40,
                total: 100,
            }],
            warning: String::new(),
        }))
    }
}
