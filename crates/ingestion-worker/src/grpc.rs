//! The ways in: what callers ask of sources, and documents that they hand over.

mod intake;
mod sources;
mod wire;

use std::sync::Arc;

use chassis::auth::answer;
use proto::MESSAGE_BYTES_MAX;
use proto::ingestion::v1;
use proto::ingestion::v1::intake_service_server::{IntakeService, IntakeServiceServer};
use proto::ingestion::v1::source_service_server::{SourceService, SourceServiceServer};
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

#[tonic::async_trait]
impl SourceService for Grpc {
    async fn create_source(
        &self,
        request: Request<v1::CreateSourceRequest>,
    ) -> Result<Response<v1::Source>, Status> {
        answer(self.app.as_ref(), request, sources::create).await
    }

    async fn get_source(
        &self,
        request: Request<v1::GetSourceRequest>,
    ) -> Result<Response<v1::Source>, Status> {
        answer(self.app.as_ref(), request, sources::get).await
    }

    async fn list_sources(
        &self,
        request: Request<v1::ListSourcesRequest>,
    ) -> Result<Response<v1::ListSourcesResponse>, Status> {
        answer(self.app.as_ref(), request, sources::list).await
    }

    async fn update_source(
        &self,
        request: Request<v1::UpdateSourceRequest>,
    ) -> Result<Response<v1::Source>, Status> {
        answer(self.app.as_ref(), request, sources::update).await
    }

    async fn delete_source(
        &self,
        request: Request<v1::DeleteSourceRequest>,
    ) -> Result<Response<v1::DeleteSourceResponse>, Status> {
        answer(self.app.as_ref(), request, sources::delete).await
    }

    async fn run_source(
        &self,
        request: Request<v1::RunSourceRequest>,
    ) -> Result<Response<v1::RunSourceResponse>, Status> {
        answer(self.app.as_ref(), request, sources::run).await
    }

    async fn test_source(
        &self,
        request: Request<v1::TestSourceRequest>,
    ) -> Result<Response<v1::TestSourceResponse>, Status> {
        answer(self.app.as_ref(), request, sources::test).await
    }

    async fn preview_schedule(
        &self,
        request: Request<v1::PreviewScheduleRequest>,
    ) -> Result<Response<v1::PreviewScheduleResponse>, Status> {
        answer(self.app.as_ref(), request, sources::preview).await
    }

    async fn list_runs(
        &self,
        request: Request<v1::ListRunsRequest>,
    ) -> Result<Response<v1::ListRunsResponse>, Status> {
        answer(self.app.as_ref(), request, sources::runs).await
    }
}

#[tonic::async_trait]
impl IntakeService for Grpc {
    async fn submit_items(
        &self,
        request: Request<v1::SubmitItemsRequest>,
    ) -> Result<Response<v1::SubmitItemsResponse>, Status> {
        answer(self.app.as_ref(), request, intake::submit).await
    }
}
