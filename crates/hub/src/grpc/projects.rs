//! `ProjectService`: what every other message names by id.

use std::sync::Arc;

use proto::{
    Reason,
    hub::v1::{self as wire, project_service_server::ProjectService},
};
use tonic::{Request, Response, Status};

use super::{identity, wire_time};
use crate::{
    app::App,
    projects::{self, NewProject},
};

/// The service.
pub(crate) struct Projects(pub(crate) Arc<App>);

#[tonic::async_trait]
impl ProjectService for Projects {
    async fn create_project(
        &self,
        request: Request<wire::CreateProjectRequest>,
    ) -> Result<Response<wire::Project>, Status> {
        let who = identity(&request)?;
        let wire::CreateProjectRequest { slug, name } = request.into_inner();
        let name = (!name.is_empty()).then_some(name);
        let new = NewProject { slug: slug.clone(), name };
        let project = match projects::create(&self.0, &who, new).await {
            Err(failure) if failure.reason == Reason::AlreadyExists => {
                projects::get(&self.0, &who, slug.trim()).await?
            }
            other => other?,
        };
        Ok(Response::new(project.into()))
    }

    async fn list_projects(
        &self,
        request: Request<wire::ListProjectsRequest>,
    ) -> Result<Response<wire::ListProjectsResponse>, Status> {
        let who = identity(&request)?;
        let projects = projects::list(&self.0, &who).await?;
        let projects = projects.into_iter().map(wire::Project::from).collect();
        Ok(Response::new(wire::ListProjectsResponse { projects }))
    }
}

impl From<projects::Project> for wire::Project {
    fn from(project: projects::Project) -> Self {
        Self {
            id: project.id,
            slug: project.slug,
            name: project.name,
            state: project.state,
            created_at: wire_time(Some(project.created_at)),
        }
    }
}
