//! The ways in: what callers ask of sources, and documents that they hand over.

mod intake;
mod sources;
mod wire;

use std::future::Future;
use std::sync::Arc;

use chassis::auth::caller;
use chassis::caller::Caller;
use proto::ingestion::v1;
use proto::ingestion::v1::intake_service_server::{IntakeService, IntakeServiceServer};
use proto::ingestion::v1::source_service_server::{SourceService, SourceServiceServer};
use proto::{Failure, MESSAGE_BYTES_MAX};
use tonic::service::RoutesBuilder;
use tonic::{Request, Response, Status};

use crate::app::App;

/// The services by their full names.
pub const NAMES: [&str; 2] =
    ["commandcenter.ingestion.v1.SourceService", "commandcenter.ingestion.v1.IntakeService"];

/// Adds both services to a server.
pub fn add(routes: &mut RoutesBuilder, app: Arc<App>) {
    let grpc = Grpc { app };
    routes.add_service(
        SourceServiceServer::new(grpc.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX),
    );
    routes.add_service(
        IntakeServiceServer::new(grpc)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX),
    );
}

#[derive(Clone)]
struct Grpc {
    app: Arc<App>,
}

impl Grpc {
    /// Runs a handler for whoever calls, and puts its refusal on the wire.
    async fn answer<'a, Q, A, F>(
        &'a self,
        request: Request<Q>,
        handler: impl FnOnce(&'a App, Arc<Caller>, Q) -> F,
    ) -> Result<Response<A>, Status>
    where
        F: Future<Output = Result<A, Failure>>,
    {
        let caller = caller(&request)?;
        let answer = handler(&self.app, caller, request.into_inner()).await?;
        Ok(Response::new(answer))
    }
}

#[tonic::async_trait]
impl SourceService for Grpc {
    async fn create_source(
        &self,
        request: Request<v1::CreateSourceRequest>,
    ) -> Result<Response<v1::Source>, Status> {
        self.answer(request, sources::create).await
    }

    async fn get_source(
        &self,
        request: Request<v1::GetSourceRequest>,
    ) -> Result<Response<v1::Source>, Status> {
        self.answer(request, sources::get).await
    }

    async fn list_sources(
        &self,
        request: Request<v1::ListSourcesRequest>,
    ) -> Result<Response<v1::ListSourcesResponse>, Status> {
        self.answer(request, sources::list).await
    }

    async fn update_source(
        &self,
        request: Request<v1::UpdateSourceRequest>,
    ) -> Result<Response<v1::Source>, Status> {
        self.answer(request, sources::update).await
    }

    async fn delete_source(
        &self,
        request: Request<v1::DeleteSourceRequest>,
    ) -> Result<Response<v1::DeleteSourceResponse>, Status> {
        self.answer(request, sources::delete).await
    }

    async fn run_source(
        &self,
        request: Request<v1::RunSourceRequest>,
    ) -> Result<Response<v1::RunSourceResponse>, Status> {
        self.answer(request, sources::run).await
    }

    async fn test_source(
        &self,
        request: Request<v1::TestSourceRequest>,
    ) -> Result<Response<v1::TestSourceResponse>, Status> {
        self.answer(request, sources::test).await
    }

    async fn preview_schedule(
        &self,
        request: Request<v1::PreviewScheduleRequest>,
    ) -> Result<Response<v1::PreviewScheduleResponse>, Status> {
        self.answer(request, sources::preview).await
    }

    async fn list_runs(
        &self,
        request: Request<v1::ListRunsRequest>,
    ) -> Result<Response<v1::ListRunsResponse>, Status> {
        self.answer(request, sources::runs).await
    }
}

#[tonic::async_trait]
impl IntakeService for Grpc {
    async fn submit_items(
        &self,
        request: Request<v1::SubmitItemsRequest>,
    ) -> Result<Response<v1::SubmitItemsResponse>, Status> {
        self.answer(request, intake::submit).await
    }
}
