//! The ways in: what callers ask of stacks, their health, their logs and their operations.

mod failures;
mod hardening;
mod health;
mod logs;
mod operations;
mod purge;
mod scans;
mod secrets;
mod stacks;
pub(crate) mod wire;

use std::pin::Pin;
use std::sync::Arc;

use chassis::auth::answer;
use futures::Stream;
use proto::MESSAGE_BYTES_MAX;
use proto::orchestrator::v1;
use proto::orchestrator::v1::health_service_server::{HealthService, HealthServiceServer};
use proto::orchestrator::v1::operation_service_server::{OperationService, OperationServiceServer};
use proto::orchestrator::v1::scan_service_server::{ScanService, ScanServiceServer};
use proto::orchestrator::v1::secret_service_server::{SecretService, SecretServiceServer};
use proto::orchestrator::v1::stack_service_server::{StackService, StackServiceServer};
use tonic::service::RoutesBuilder;
use tonic::{Request, Response, Status};

use crate::app::App;

/// The services by their full names.
pub const NAMES: [&str; 6] = [
    "commandcenter.orchestrator.v1.StackService",
    "commandcenter.orchestrator.v1.HealthService",
    "commandcenter.orchestrator.v1.LogService",
    "commandcenter.orchestrator.v1.OperationService",
    "commandcenter.orchestrator.v1.SecretService",
    "commandcenter.orchestrator.v1.ScanService",
];

/// What a stream answers.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Adds the services to a server.
pub fn add(routes: &mut RoutesBuilder, app: Arc<App>) {
    logs::add(routes, app.logs.clone());
    let grpc = Grpc { app };
    routes.add_service(
        StackServiceServer::new(grpc.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX),
    );
    routes.add_service(HealthServiceServer::new(grpc.clone()));
    routes.add_service(SecretServiceServer::new(grpc.clone()));
    routes.add_service(ScanServiceServer::new(grpc.clone()));
    routes.add_service(OperationServiceServer::new(grpc));
}

#[derive(Clone)]
struct Grpc {
    app: Arc<App>,
}

#[tonic::async_trait]
impl StackService for Grpc {
    async fn apply_stack(
        &self,
        request: Request<v1::ApplyStackRequest>,
    ) -> Result<Response<v1::Operation>, Status> {
        answer(&self.app, request, stacks::apply).await
    }

    async fn diff_stack(
        &self,
        request: Request<v1::DiffStackRequest>,
    ) -> Result<Response<v1::DiffStackResponse>, Status> {
        answer(&self.app, request, stacks::diff).await
    }

    async fn start_stack(
        &self,
        request: Request<v1::StartStackRequest>,
    ) -> Result<Response<v1::Operation>, Status> {
        answer(&self.app, request, stacks::start).await
    }

    async fn stop_stack(
        &self,
        request: Request<v1::StopStackRequest>,
    ) -> Result<Response<v1::Operation>, Status> {
        answer(&self.app, request, stacks::stop).await
    }

    async fn restart_stack(
        &self,
        request: Request<v1::RestartStackRequest>,
    ) -> Result<Response<v1::Operation>, Status> {
        answer(&self.app, request, stacks::restart).await
    }

    async fn remove_stack(
        &self,
        request: Request<v1::RemoveStackRequest>,
    ) -> Result<Response<v1::Operation>, Status> {
        answer(&self.app, request, stacks::remove).await
    }

    async fn restart_service(
        &self,
        request: Request<v1::RestartServiceRequest>,
    ) -> Result<Response<v1::Operation>, Status> {
        answer(&self.app, request, stacks::restart_service).await
    }

    async fn get_stack(
        &self,
        request: Request<v1::GetStackRequest>,
    ) -> Result<Response<v1::Stack>, Status> {
        answer(&self.app, request, stacks::get).await
    }

    async fn purge_project(
        &self,
        request: Request<v1::PurgeProjectRequest>,
    ) -> Result<Response<v1::PurgeProjectResponse>, Status> {
        answer(&self.app, request, purge::purge).await
    }
}

#[tonic::async_trait]
impl HealthService for Grpc {
    type WatchHealthStream = Answers<v1::StackHealth>;

    async fn get_health(
        &self,
        request: Request<v1::GetHealthRequest>,
    ) -> Result<Response<v1::StackHealth>, Status> {
        answer(&self.app, request, health::get).await
    }

    async fn watch_health(
        &self,
        request: Request<v1::WatchHealthRequest>,
    ) -> Result<Response<Self::WatchHealthStream>, Status> {
        answer(&self.app, request, health::watch).await
    }

    async fn get_resources(
        &self,
        request: Request<v1::GetResourcesRequest>,
    ) -> Result<Response<v1::StackResources>, Status> {
        answer(&self.app, request, health::resources).await
    }

    async fn get_hardening(
        &self,
        request: Request<v1::GetHardeningRequest>,
    ) -> Result<Response<v1::GetHardeningResponse>, Status> {
        answer(&self.app, request, hardening::get).await
    }

    async fn list_failures(
        &self,
        request: Request<v1::ListFailuresRequest>,
    ) -> Result<Response<v1::ListFailuresResponse>, Status> {
        answer(&self.app, request, failures::list).await
    }
}

#[tonic::async_trait]
impl OperationService for Grpc {
    type WatchOperationStream = Answers<v1::Operation>;

    async fn get_operation(
        &self,
        request: Request<v1::GetOperationRequest>,
    ) -> Result<Response<v1::Operation>, Status> {
        answer(&self.app, request, operations::get).await
    }

    async fn list_operations(
        &self,
        request: Request<v1::ListOperationsRequest>,
    ) -> Result<Response<v1::ListOperationsResponse>, Status> {
        answer(&self.app, request, operations::list).await
    }

    async fn watch_operation(
        &self,
        request: Request<v1::WatchOperationRequest>,
    ) -> Result<Response<Self::WatchOperationStream>, Status> {
        answer(&self.app, request, operations::watch).await
    }
}

#[tonic::async_trait]
impl SecretService for Grpc {
    async fn put_secret(
        &self,
        request: Request<v1::PutSecretRequest>,
    ) -> Result<Response<v1::Secret>, Status> {
        answer(&self.app, request, secrets::put).await
    }

    async fn list_secrets(
        &self,
        request: Request<v1::ListSecretsRequest>,
    ) -> Result<Response<v1::ListSecretsResponse>, Status> {
        answer(&self.app, request, secrets::list).await
    }

    async fn delete_secret(
        &self,
        request: Request<v1::DeleteSecretRequest>,
    ) -> Result<Response<v1::DeleteSecretResponse>, Status> {
        answer(&self.app, request, secrets::delete).await
    }
}

#[tonic::async_trait]
impl ScanService for Grpc {
    async fn scan_images(
        &self,
        request: Request<v1::ScanImagesRequest>,
    ) -> Result<Response<v1::ScanImagesResponse>, Status> {
        answer(&self.app, request, scans::scan).await
    }

    async fn list_verdicts(
        &self,
        request: Request<v1::ListVerdictsRequest>,
    ) -> Result<Response<v1::ListVerdictsResponse>, Status> {
        answer(&self.app, request, scans::list).await
    }
}
