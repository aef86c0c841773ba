//! `JobService`: the ledger of background work.

use std::sync::Arc;

use proto::jobs::v1::{self as wire, job_service_server::JobService};
use tonic::{Request, Response, Status};

use super::{identity, wire_time};
use crate::{
    app::App,
    jobs::{self, DeadAction, DeadQuery, Query},
    page,
};

/// The service.
pub(crate) struct Jobs(pub(crate) Arc<App>);

impl Jobs {
    async fn act_on_dead(
        &self,
        request: Request<wire::DeadFilterRequest>,
        action: DeadAction,
    ) -> Result<Response<wire::DeadFilterResponse>, Status> {
        let who = identity(&request)?;
        let filter = request.into_inner();
        let query = DeadQuery {
            projects: filter.project_ids,
            kind: filter.kind,
            signature: filter.signature,
            ids: filter.ids,
        };
        let count = jobs::act_on_dead(&self.0, &who, action, query, filter.dry_run).await?;
        Ok(Response::new(wire::DeadFilterResponse { count }))
    }
}

#[tonic::async_trait]
impl JobService for Jobs {
    async fn get_job(
        &self,
        request: Request<wire::GetJobRequest>,
    ) -> Result<Response<wire::Job>, Status> {
        let who = identity(&request)?;
        Ok(Response::new(jobs::get(&self.0, &who, &request.get_ref().id).await?.into()))
    }

    async fn list_jobs(
        &self,
        request: Request<wire::ListJobsRequest>,
    ) -> Result<Response<wire::ListJobsResponse>, Status> {
        let who = identity(&request)?;
        let asked = request.into_inner();
        let query = Query {
            projects: asked.project_ids,
            states: asked.states,
            kinds: asked.kinds,
            source: asked.group_id,
            page_size: page::size((asked.page_size > 0).then_some(asked.page_size)),
            page_token: asked.page_token,
        };
        let (page, counts) = jobs::list(&self.0, &who, query).await?;
        let counts = counts.tabs().map(|(state, count)| (state.to_owned(), count));
        Ok(Response::new(wire::ListJobsResponse {
            jobs: page.items.into_iter().map(wire::Job::from).collect(),
            next_page_token: page.next_page_token,
            counts: counts.into(),
        }))
    }

    async fn retry_job(
        &self,
        request: Request<wire::RetryJobRequest>,
    ) -> Result<Response<wire::Job>, Status> {
        let who = identity(&request)?;
        Ok(Response::new(jobs::retry(&self.0, &who, &request.get_ref().id).await?.into()))
    }

    async fn cancel_job(
        &self,
        request: Request<wire::CancelJobRequest>,
    ) -> Result<Response<wire::Job>, Status> {
        let who = identity(&request)?;
        Ok(Response::new(jobs::cancel(&self.0, &who, &request.get_ref().id).await?.into()))
    }

    async fn list_dead_groups(
        &self,
        request: Request<wire::ListDeadGroupsRequest>,
    ) -> Result<Response<wire::ListDeadGroupsResponse>, Status> {
        let who = identity(&request)?;
        let groups = jobs::dead_groups(&self.0, &who, &request.get_ref().project_ids).await?;
        let groups = groups.into_iter().map(wire::DeadGroup::from).collect();
        Ok(Response::new(wire::ListDeadGroupsResponse { groups }))
    }

    async fn retry_dead(
        &self,
        request: Request<wire::DeadFilterRequest>,
    ) -> Result<Response<wire::DeadFilterResponse>, Status> {
        self.act_on_dead(request, DeadAction::Retry).await
    }

    async fn discard_dead(
        &self,
        request: Request<wire::DeadFilterRequest>,
    ) -> Result<Response<wire::DeadFilterResponse>, Status> {
        self.act_on_dead(request, DeadAction::Discard).await
    }
}

impl From<jobs::Job> for wire::Job {
    fn from(job: jobs::Job) -> Self {
        Self {
            id: job.id,
            kind: job.kind,
            project_id: job.project_id,
            subject: job.subject,
            state: job.state.to_owned(),
            attempt: job.attempt,
            crashes: job.crashes,
            priority: job.priority,
            created_at: wire_time(job.created_at),
            due_at: wire_time(job.due_at),
            started_at: wire_time(job.started_at),
            finished_at: wire_time(job.finished_at),
            last_error: job.last_error,
            group_id: job.source_id,
            progress: job.progress,
            progress_text: job.progress_text,
            attempts: job.attempts.into_iter().map(wire::Attempt::from).collect(),
        }
    }
}

impl From<jobs::Attempt> for wire::Attempt {
    fn from(attempt: jobs::Attempt) -> Self {
        Self {
            number: attempt.number,
            started_at: wire_time(attempt.started_at),
            finished_at: wire_time(attempt.finished_at),
            outcome: attempt.outcome,
            error: attempt.error,
            worker: attempt.worker,
        }
    }
}

impl From<jobs::DeadGroup> for wire::DeadGroup {
    fn from(group: jobs::DeadGroup) -> Self {
        Self {
            signature: group.signature,
            kind: group.kind,
            count: group.count,
            sample: group.sample,
            first_seen: wire_time(group.first_seen),
            last_seen: wire_time(group.last_seen),
        }
    }
}
