//! `SourceService` and `IntakeService`.

use chassis::caller::Role;
use chrono::{TimeDelta, Utc};
use proto::{
    Failure, JobId, ProjectId, Reason, RunId, SourceId,
    ingestion::v1::{
        self as wire, intake_service_server::IntakeService, source_service_server::SourceService,
    },
    time::to_wire,
};
use tonic::{Request, Response, Status};

use super::{Fake, missing, sees};

impl Fake {
    fn source(&self, caller: &chassis::caller::Caller, id: &str) -> Result<wire::Source, Status> {
        let sources = self.0.sources.lock().unwrap();
        let found = sources.iter().find(|s| s.id == id && sees(caller, &s.project_id));
        found.cloned().ok_or_else(|| missing("source", id))
    }
}

fn allowed(caller: &chassis::caller::Caller, project: &str) -> Result<(), Status> {
    let project = ProjectId::parse("project_id", project)?;
    Ok(caller.require(Role::Operator, project)?)
}

fn check_schedule(schedule: Option<&wire::Schedule>) -> Result<(), Status> {
    match schedule {
        Some(schedule) if schedule.expression == "every now and then" => Err(Failure::invalid(
            "schedule.expression",
            "\"every now and then\" is not a schedule; write hourly or */15 * * * *",
        )
        .into()),
        _ => Ok(()),
    }
}

#[tonic::async_trait]
impl SourceService for Fake {
    async fn create_source(
        &self,
        request: Request<wire::CreateSourceRequest>,
    ) -> Result<Response<wire::Source>, Status> {
        let caller = self.enter("create_source", &request)?;
        let new = request.into_inner();
        allowed(&caller, &new.project_id)?;
        check_schedule(new.schedule.as_ref())?;
        self.0.created.lock().unwrap().push(new.clone());
        let taken = |source: &wire::Source| source.url == new.url && source.kind == "feed";
        let mut sources = self.0.sources.lock().unwrap();
        if sources.iter().any(taken) {
            let text = format!("{} is a source of the project already", new.url);
            return Err(Failure::new(Reason::AlreadyExists, text).violation("url", "taken").into());
        }
        let soon = to_wire(Utc::now() + TimeDelta::minutes(20));
        let source = wire::Source {
            id: SourceId::generate().to_string(),
            project_id: new.project_id,
            kind: new.kind,
            name: new.name,
            url: new.url,
            priority: new.priority.unwrap_or(5),
            schedule_text: new.schedule.as_ref().map_or("", |_| "Every hour").to_owned(),
            next_runs: new.schedule.iter().flat_map(|_| [soon; 3]).collect(),
            schedule: new.schedule,
            paused: new.paused,
            credential: if new.credential.is_some() { "basic" } else { "none" }.to_owned(),
            freshness: "new".to_owned(),
            created_at: Some(to_wire(Utc::now())),
            version: 1,
            ..Default::default()
        };
        sources.push(source.clone());
        Ok(Response::new(source))
    }

    async fn get_source(
        &self,
        request: Request<wire::GetSourceRequest>,
    ) -> Result<Response<wire::Source>, Status> {
        let caller = self.enter("get_source", &request)?;
        self.source(&caller, &request.get_ref().id).map(Response::new)
    }

    async fn list_sources(
        &self,
        request: Request<wire::ListSourcesRequest>,
    ) -> Result<Response<wire::ListSourcesResponse>, Status> {
        let caller = self.enter("list_sources", &request)?;
        let asked = request.into_inner();
        let mut all = self.0.sources.lock().unwrap();
        let sources = all.iter().filter(|source| {
            sees(&caller, &source.project_id)
                && (asked.project_ids.is_empty() || asked.project_ids.contains(&source.project_id))
                && (asked.freshness.is_empty() || asked.freshness == source.freshness)
        });
        let sources = sources.cloned().collect();
        let late = self.0.late.lock().unwrap().take();
        let project_id = asked.project_ids.first().cloned().unwrap_or_default();
        all.extend(late.map(|source| wire::Source { project_id, ..source }));
        Ok(Response::new(wire::ListSourcesResponse { sources, next_page_token: String::new() }))
    }

    async fn update_source(
        &self,
        request: Request<wire::UpdateSourceRequest>,
    ) -> Result<Response<wire::Source>, Status> {
        let caller = self.enter("update_source", &request)?;
        let change = request.into_inner();
        let source = self.source(&caller, &change.id)?;
        allowed(&caller, &source.project_id)?;
        check_schedule(change.schedule.as_ref())?;
        let host = |url: &str| url.split('/').nth(2).map(str::to_owned);
        let moves = change.url.as_deref().is_some_and(|url| host(url) != host(&source.url));
        if moves && source.credential != "none" && change.credential.is_none() {
            let text = "the credential is for a.example: give one for the new address";
            return Err(Failure::invalid("credential", text).into());
        }
        self.0.updated.lock().unwrap().push(change.clone());
        let mut sources = self.0.sources.lock().unwrap();
        let source = sources.iter_mut().find(|s| s.id == change.id).expect("it was just there");
        source.name = change.name.unwrap_or_else(|| source.name.clone());
        source.url = change.url.unwrap_or_else(|| source.url.clone());
        source.priority = change.priority.unwrap_or(source.priority);
        source.paused = change.paused.unwrap_or(source.paused);
        source.schedule = change.schedule.or_else(|| source.schedule.clone());
        source.version += 1;
        Ok(Response::new(source.clone()))
    }

    async fn delete_source(
        &self,
        request: Request<wire::DeleteSourceRequest>,
    ) -> Result<Response<wire::DeleteSourceResponse>, Status> {
        let caller = self.enter("delete_source", &request)?;
        let source = self.source(&caller, &request.get_ref().id)?;
        allowed(&caller, &source.project_id)?;
        self.0.sources.lock().unwrap().retain(|other| other.id != source.id);
        let job_id = JobId::generate().to_string();
        Ok(Response::new(wire::DeleteSourceResponse { job_id }))
    }

    async fn run_source(
        &self,
        request: Request<wire::RunSourceRequest>,
    ) -> Result<Response<wire::RunSourceResponse>, Status> {
        let caller = self.enter("run_source", &request)?;
        let source = self.source(&caller, &request.get_ref().id)?;
        allowed(&caller, &source.project_id)?;
        Ok(Response::new(wire::RunSourceResponse {
            job_id: JobId::generate().to_string(),
            run_id: RunId::generate().to_string(),
        }))
    }

    async fn test_source(
        &self,
        request: Request<wire::TestSourceRequest>,
    ) -> Result<Response<wire::TestSourceResponse>, Status> {
        let caller = self.enter("test_source", &request)?;
        match request.get_ref().project_id.as_str() {
            "" => caller.require_role(Role::Operator)?,
            project => allowed(&caller, project)?,
        }
        if request.get_ref().url.ends_with("page.html") {
            let text = "https://a.example/page.html is a web page, not a feed";
            return Err(Failure::new(Reason::NotAFeed, text).violation("url", text).into());
        }
        Ok(Response::new(wire::TestSourceResponse {
            ok: true,
            title: "Rust <b>Blog</b>".to_owned(),
            items: 12,
            samples: vec!["Announcing Rust 1.95".to_owned()],
            format: "RSS 2.0".to_owned(),
        }))
    }

    async fn preview_schedule(
        &self,
        request: Request<wire::PreviewScheduleRequest>,
    ) -> Result<Response<wire::PreviewScheduleResponse>, Status> {
        self.enter("preview_schedule", &request)?;
        check_schedule(request.get_ref().schedule.as_ref())?;
        let hour = |n| to_wire(Utc::now() + TimeDelta::hours(n));
        Ok(Response::new(wire::PreviewScheduleResponse {
            text: "Every hour".to_owned(),
            next_runs: vec![hour(1), hour(2), hour(3)],
        }))
    }

    async fn list_runs(
        &self,
        request: Request<wire::ListRunsRequest>,
    ) -> Result<Response<wire::ListRunsResponse>, Status> {
        let caller = self.enter("list_runs", &request)?;
        self.source(&caller, &request.get_ref().source_id)?;
        let run = |state: &str, error: &str| wire::Run {
            id: RunId::generate().to_string(),
            job_id: JobId::generate().to_string(),
            started_at: Some(to_wire(Utc::now() - TimeDelta::minutes(7))),
            finished_at: Some(to_wire(Utc::now() - TimeDelta::minutes(6))),
            state: state.to_owned(),
            found: 12,
            created: 3,
            revised: 1,
            unchanged: 8,
            error: error.to_owned(),
            not_modified: false,
        };
        let runs = vec![run("done", ""), run("failed", "a.example answered 503")];
        Ok(Response::new(wire::ListRunsResponse { runs }))
    }
}

#[tonic::async_trait]
impl IntakeService for Fake {
    async fn submit_items(
        &self,
        request: Request<wire::SubmitItemsRequest>,
    ) -> Result<Response<wire::SubmitItemsResponse>, Status> {
        let caller = self.enter("submit_items", &request)?;
        let asked = request.into_inner();
        allowed(&caller, &asked.project_id)?;
        self.0.submitted.lock().unwrap().push(asked.clone());
        let result = |item: wire::Item| {
            let refused = item.content.contains(&0);
            let text = if refused { "the text holds a NUL; remove it" } else { "" };
            let outcome = match refused {
                true => wire::item_result::Outcome::Refused,
                false => wire::item_result::Outcome::Accepted,
            };
            wire::ItemResult {
                external_id: item.external_id,
                job_id: if refused { String::new() } else { JobId::generate().to_string() },
                reason: if refused { "UNREADABLE" } else { "" }.to_owned(),
                message: text.to_owned(),
                outcome: outcome.into(),
            }
        };
        Ok(Response::new(wire::SubmitItemsResponse {
            source_id: SourceId::generate().to_string(),
            results: asked.items.into_iter().map(result).collect(),
        }))
    }
}
