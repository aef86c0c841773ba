//! What the orchestrator answers.

use std::sync::atomic::Ordering;

use chassis::caller::Role;
use chrono::Utc;
use futures::{StreamExt as _, stream};
use proto::{
    Failure,
    orchestrator::v1::{
        self as wire, health_service_server::HealthService, log_service_server::LogService,
        operation_service_server::OperationService, scan_service_server::ScanService,
        secret_service_server::SecretService, stack_service_server::StackService,
    },
    time::to_wire,
};
use tonic::{Request, Response, Status};

use super::{Answers, asked, changes, held};
use crate::fake::{Fake, sees};

#[tonic::async_trait]
impl StackService for Fake {
    async fn apply_stack(
        &self,
        request: Request<wire::ApplyStackRequest>,
    ) -> Result<Response<wire::Operation>, Status> {
        let asked = request.get_ref();
        let caller = self.ask("apply_stack", &request, Role::Operator, &asked.project_id)?;
        let spec = asked.spec.clone().unwrap_or_default();
        if spec.services.iter().any(|service| service.image.is_empty()) {
            let text = "services.web.image is missing";
            return Err(Failure::invalid("services.web.image", text).into());
        }
        let stack = wire::Stack {
            project_id: asked.project_id.clone(),
            generation: 1,
            desired: "running".to_owned(),
            spec: Some(spec),
            applied_at: Some(to_wire(Utc::now())),
        };
        self.0.held.stacks.lock().unwrap().insert(asked.project_id.clone(), stack);
        Ok(Response::new(self.begin(&asked.project_id, "apply", "", &caller.name)))
    }

    async fn diff_stack(
        &self,
        request: Request<wire::DiffStackRequest>,
    ) -> Result<Response<wire::DiffStackResponse>, Status> {
        self.ask("diff_stack", &request, Role::Viewer, &request.get_ref().project_id)?;
        let change = wire::Change {
            kind: "service".to_owned(),
            name: "web".to_owned(),
            action: "recreate".to_owned(),
            reasons: vec!["image: a -> b".to_owned()],
        };
        Ok(Response::new(wire::DiffStackResponse { changes: vec![change] }))
    }

    async fn start_stack(
        &self,
        request: Request<wire::StartStackRequest>,
    ) -> Result<Response<wire::Operation>, Status> {
        let project = &request.get_ref().project_id;
        let caller = self.ask("start_stack", &request, Role::Operator, project)?;
        self.stack(project)?;
        Ok(Response::new(self.begin(project, "start", "", &caller.name)))
    }

    async fn stop_stack(
        &self,
        request: Request<wire::StopStackRequest>,
    ) -> Result<Response<wire::Operation>, Status> {
        let project = &request.get_ref().project_id;
        let caller = self.ask("stop_stack", &request, Role::Operator, project)?;
        self.stack(project)?;
        Ok(Response::new(self.begin(project, "stop", "", &caller.name)))
    }

    async fn restart_stack(
        &self,
        request: Request<wire::RestartStackRequest>,
    ) -> Result<Response<wire::Operation>, Status> {
        let project = &request.get_ref().project_id;
        let caller = self.ask("restart_stack", &request, Role::Operator, project)?;
        self.stack(project)?;
        Ok(Response::new(self.begin(project, "restart", "", &caller.name)))
    }

    async fn remove_stack(
        &self,
        request: Request<wire::RemoveStackRequest>,
    ) -> Result<Response<wire::Operation>, Status> {
        let project = &request.get_ref().project_id;
        let caller = self.ask("remove_stack", &request, Role::Operator, project)?;
        self.stack(project)?;
        Ok(Response::new(self.begin(project, "remove", "", &caller.name)))
    }

    async fn restart_service(
        &self,
        request: Request<wire::RestartServiceRequest>,
    ) -> Result<Response<wire::Operation>, Status> {
        let asked = request.get_ref();
        let caller = self.ask("restart_service", &request, Role::Operator, &asked.project_id)?;
        if asked.service != "web" {
            return Err(Failure::not_found("service", &asked.service).into());
        }
        let (project, service) = (&asked.project_id, &asked.service);
        Ok(Response::new(self.begin(project, "restart_service", service, &caller.name)))
    }

    async fn get_stack(
        &self,
        request: Request<wire::GetStackRequest>,
    ) -> Result<Response<wire::Stack>, Status> {
        let project = &request.get_ref().project_id;
        self.ask("get_stack", &request, Role::Viewer, project)?;
        self.stack(project).map(Response::new)
    }

    async fn purge_project(
        &self,
        request: Request<wire::PurgeProjectRequest>,
    ) -> Result<Response<wire::PurgeProjectResponse>, Status> {
        let project = &request.get_ref().project_id;
        self.ask("purge_project", &request, Role::Operator, project)?;
        let less = |left: u32| left.checked_sub(1);
        let left = &self.0.held.purges_left;
        let done = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_err();
        if done {
            self.0.held.stacks.lock().unwrap().remove(project);
        }
        Ok(Response::new(wire::PurgeProjectResponse { done }))
    }
}

#[tonic::async_trait]
impl HealthService for Fake {
    type WatchHealthStream = Answers<wire::StackHealth>;

    async fn get_health(
        &self,
        request: Request<wire::GetHealthRequest>,
    ) -> Result<Response<wire::StackHealth>, Status> {
        let project = &request.get_ref().project_id;
        self.ask("get_health", &request, Role::Viewer, project)?;
        self.stack(project)?;
        Ok(Response::new(self.0.held.health.borrow().clone()))
    }

    async fn watch_health(
        &self,
        request: Request<wire::WatchHealthRequest>,
    ) -> Result<Response<Self::WatchHealthStream>, Status> {
        let project = &request.get_ref().project_id;
        self.ask("watch_health", &request, Role::Viewer, project)?;
        self.stack(project)?;
        let health = self.0.held.health.subscribe();
        Ok(Response::new(changes(health, |health| Some(health.clone()), |_| false)))
    }

    async fn get_resources(
        &self,
        request: Request<wire::GetResourcesRequest>,
    ) -> Result<Response<wire::StackResources>, Status> {
        let project = &request.get_ref().project_id;
        self.ask("get_resources", &request, Role::Viewer, project)?;
        self.stack(project)?;
        let (project_id, services) = (project.clone(), vec![held::usage()]);
        Ok(Response::new(wire::StackResources { project_id, services }))
    }

    async fn get_hardening(
        &self,
        request: Request<wire::GetHardeningRequest>,
    ) -> Result<Response<wire::GetHardeningResponse>, Status> {
        let project = &request.get_ref().project_id;
        self.ask("get_hardening", &request, Role::Viewer, project)?;
        self.stack(project)?;
        let check = wire::HardeningCheck {
            name: "capabilities".to_owned(),
            wanted: "none".to_owned(),
            found: "shibboleth".to_owned(),
            verdict: "broken".to_owned(),
        };
        let report = wire::HardeningReport {
            service: "web".to_owned(),
            hardened: false,
            checks: vec![check],
        };
        Ok(Response::new(wire::GetHardeningResponse { services: vec![report] }))
    }

    async fn list_failures(
        &self,
        request: Request<wire::ListFailuresRequest>,
    ) -> Result<Response<wire::ListFailuresResponse>, Status> {
        let asked = request.get_ref();
        self.ask("list_failures", &request, Role::Viewer, &asked.project_id)?;
        let failures = self.0.held.failures.lock().unwrap();
        let of = |it: &&wire::Failure| asked.service.is_empty() || it.service == asked.service;
        Ok(Response::new(wire::ListFailuresResponse {
            failures: failures.iter().filter(of).cloned().collect(),
            next_page_token: String::new(),
        }))
    }
}

#[tonic::async_trait]
impl LogService for Fake {
    type FollowLogsStream = Answers<wire::LogBatch>;

    async fn get_logs(
        &self,
        request: Request<wire::GetLogsRequest>,
    ) -> Result<Response<wire::GetLogsResponse>, Status> {
        let it = request.get_ref();
        self.ask("get_logs", &request, Role::Viewer, &it.project_id)?;
        let log = self.0.held.log.borrow();
        let records = asked(&log, &it.services, &it.contains, &it.after, it.tail);
        Ok(Response::new(wire::GetLogsResponse { records }))
    }

    async fn follow_logs(
        &self,
        request: Request<wire::FollowLogsRequest>,
    ) -> Result<Response<Self::FollowLogsStream>, Status> {
        self.ask("follow_logs", &request, Role::Viewer, &request.get_ref().project_id)?;
        let it = request.into_inner();
        let log = self.0.held.log.subscribe();
        let all = log.borrow().clone();
        let backlog = asked(&all, &it.services, &it.contains, &it.after, it.tail);
        let lengths = changes(log.clone(), |log| Some(log.len()), |_| false);
        let batches = lengths.scan(all.len(), move |told, _| {
            let new = log.borrow()[*told..].to_vec();
            *told += new.len();
            std::future::ready(Some(new))
        });
        let batches = stream::once(std::future::ready(backlog)).chain(batches);
        let batches = batches.filter(|records| std::future::ready(!records.is_empty()));
        let batches = batches.map(|records| Ok(wire::LogBatch { records }));
        Ok(Response::new(Box::pin(batches)))
    }
}

#[tonic::async_trait]
impl OperationService for Fake {
    type WatchOperationStream = Answers<wire::Operation>;

    async fn get_operation(
        &self,
        request: Request<wire::GetOperationRequest>,
    ) -> Result<Response<wire::Operation>, Status> {
        let caller = self.enter("get_operation", &request)?;
        self.find_operation(&caller, &request.get_ref().id).map(Response::new)
    }

    async fn list_operations(
        &self,
        request: Request<wire::ListOperationsRequest>,
    ) -> Result<Response<wire::ListOperationsResponse>, Status> {
        let project = &request.get_ref().project_id;
        let caller = self.ask("list_operations", &request, Role::Viewer, project)?;
        let operations = self.0.held.operations.borrow();
        let of = |it: &&wire::Operation| it.project_id == *project && sees(&caller, project);
        let without_steps = |it: &wire::Operation| wire::Operation { steps: vec![], ..it.clone() };
        Ok(Response::new(wire::ListOperationsResponse {
            operations: operations.iter().filter(of).map(without_steps).collect(),
            next_page_token: String::new(),
        }))
    }

    async fn watch_operation(
        &self,
        request: Request<wire::WatchOperationRequest>,
    ) -> Result<Response<Self::WatchOperationStream>, Status> {
        let caller = self.enter("watch_operation", &request)?;
        let id = self.find_operation(&caller, &request.get_ref().id)?.id;
        let find = move |all: &Vec<wire::Operation>| all.iter().find(|it| it.id == id).cloned();
        let operations = self.0.held.operations.subscribe();
        Ok(Response::new(changes(operations, find, |it| it.state != "running")))
    }
}

#[tonic::async_trait]
impl SecretService for Fake {
    async fn put_secret(
        &self,
        request: Request<wire::PutSecretRequest>,
    ) -> Result<Response<wire::Secret>, Status> {
        self.ask("put_secret", &request, Role::Operator, &request.get_ref().project_id)?;
        let new = request.into_inner();
        if new.name.contains(' ') {
            let text = "a secret's name has letters, digits, hyphens and underscores";
            return Err(Failure::invalid("name", text).into());
        }
        let mut secrets = self.0.held.secrets.lock().unwrap();
        let secret = secrets.entry((new.project_id, new.name.clone())).or_default();
        *secret = (secret.0 + 1, new.value);
        let created_at = Some(to_wire(Utc::now()));
        Ok(Response::new(wire::Secret { name: new.name, version: secret.0, created_at }))
    }

    async fn list_secrets(
        &self,
        request: Request<wire::ListSecretsRequest>,
    ) -> Result<Response<wire::ListSecretsResponse>, Status> {
        let project = &request.get_ref().project_id;
        self.ask("list_secrets", &request, Role::Viewer, project)?;
        let secrets = self.0.held.secrets.lock().unwrap();
        let of = secrets.iter().filter(|((owner, _), _)| owner == project);
        let secret = |((_, name), (version, _)): (&(String, String), &(u32, Vec<u8>))| {
            wire::Secret { name: name.clone(), version: *version, created_at: None }
        };
        Ok(Response::new(wire::ListSecretsResponse { secrets: of.map(secret).collect() }))
    }

    async fn delete_secret(
        &self,
        request: Request<wire::DeleteSecretRequest>,
    ) -> Result<Response<wire::DeleteSecretResponse>, Status> {
        self.ask("delete_secret", &request, Role::Operator, &request.get_ref().project_id)?;
        let gone = request.into_inner();
        let key = (gone.project_id, gone.name);
        match self.0.held.secrets.lock().unwrap().remove(&key) {
            Some(_) => Ok(Response::new(wire::DeleteSecretResponse {})),
            None => Err(Failure::not_found("secret", key.1).into()),
        }
    }
}

fn verdict() -> wire::Verdict {
    wire::Verdict {
        service: "web".to_owned(),
        image: "shibboleth/web:1".to_owned(),
        digest: "sha256:0123".to_owned(),
        verdict: "findings".to_owned(),
        critical: 2,
        scanned_at: Some(to_wire(Utc::now())),
        message: "CVE-2026-1 in openssl".to_owned(),
        ..Default::default()
    }
}

#[tonic::async_trait]
impl ScanService for Fake {
    async fn scan_images(
        &self,
        request: Request<wire::ScanImagesRequest>,
    ) -> Result<Response<wire::ScanImagesResponse>, Status> {
        self.ask("scan_images", &request, Role::Operator, &request.get_ref().project_id)?;
        Ok(Response::new(wire::ScanImagesResponse { verdicts: vec![verdict()] }))
    }

    async fn list_verdicts(
        &self,
        request: Request<wire::ListVerdictsRequest>,
    ) -> Result<Response<wire::ListVerdictsResponse>, Status> {
        self.ask("list_verdicts", &request, Role::Viewer, &request.get_ref().project_id)?;
        Ok(Response::new(wire::ListVerdictsResponse { verdicts: vec![verdict()] }))
    }
}
