//! How the whole system does.

use chassis::readiness::State;
use chrono::{DateTime, Utc};
use proto::{
    Failure, ProjectId, Reason, ingestion::v1 as ingestion, knowledge::v1 as wire,
    orchestrator::v1 as orchestrator,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::{App, VERSION},
    clients::{INGESTION, KNOWLEDGE, ORCHESTRATOR, refused},
    identity::Identity,
    jobs::{self, Counts},
    search::Embedder,
};

/// How the whole system does.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    /// The worst of the services: `ready`, `degraded`, `starting` or `failed`.
    pub(crate) state: String,
    /// CommandCenter's version.
    pub(crate) version: &'static str,
    /// Each service.
    pub(crate) services: Vec<ServiceStatus>,
    /// Which embedder is at work.
    pub(crate) embedder: Embedder,
    /// What search knows.
    pub(crate) index: Index,
    /// Jobs by state, of the caller's projects.
    pub(crate) jobs: Counts,
}

/// How one service does.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServiceStatus {
    /// Its name.
    pub(crate) name: String,
    /// `ready`, `degraded`, `starting`, `stopping` or `failed`.
    pub(crate) state: String,
    /// Why it is not simply ready; may be empty.
    pub(crate) reason: String,
    /// Since when; absent for a service of another process.
    pub(crate) since: Option<DateTime<Utc>>,
    /// How often it was started again after a failure.
    pub(crate) restarts: u32,
}

/// What search knows.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Index {
    /// Which embedder is at work.
    pub(crate) embedder: Embedder,
    /// Documents.
    pub(crate) documents: u64,
    /// Passages.
    pub(crate) chunks: u64,
    /// Documents whose index job waits.
    pub(crate) waiting: u64,
    /// Each model, and how far it is.
    pub(crate) models: Vec<Model>,
    /// Why search is not what was configured; empty when it is.
    pub(crate) warning: String,
}

/// A model and how far its vectors are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Model {
    /// The model.
    pub(crate) embedder: Embedder,
    /// `building`, `active` or `retired`.
    pub(crate) state: String,
    /// Passages that have a vector.
    pub(crate) embedded: u64,
    /// Passages in all.
    pub(crate) total: u64,
}

impl From<wire::Index> for Index {
    fn from(index: wire::Index) -> Self {
        let model = |model: wire::Model| Model {
            embedder: model.embedder.unwrap_or_default().into(),
            state: model.state,
            embedded: model.embedded,
            total: model.total,
        };
        Self {
            embedder: index.embedder.unwrap_or_default().into(),
            documents: index.documents,
            chunks: index.chunks,
            waiting: index.waiting,
            models: index.models.into_iter().map(model).collect(),
            warning: index.warning,
        }
    }
}

/// What search knows.
pub(crate) async fn index(app: &App, who: &Identity) -> Result<Index, Failure> {
    let answer = app.clients.knowledge(who)?.get_index(wire::GetIndexRequest {}).await;
    let mut index = Index::from(answer.map_err(refused(KNOWLEDGE))?.into_inner());
    if index.warning.is_empty() && !index.embedder.semantic {
        index.warning = format!(
            "it knows words only: the embedder at work is {}, which does not know meaning",
            index.embedder.name
        );
    }
    Ok(index)
}

/// Everything at a glance. A part that does not answer is told, not an error.
pub(crate) async fn status(app: &App, who: &Identity) -> Result<Status, Failure> {
    let mut services: Vec<ServiceStatus> = app
        .readiness
        .reports()
        .into_iter()
        .map(|(name, report)| {
            let (state, reason) = words(report.state);
            let (since, restarts) = (Some(report.since), report.restarts);
            ServiceStatus { name: name.to_owned(), state, reason, since, restarts }
        })
        .collect();
    let (index, ingestion, orchestrator) =
        tokio::join!(index(app, who), reach_ingestion(app, who), reach_orchestrator(app, who));
    let index = match index {
        Ok(index) => index,
        Err(failure) => {
            unreachable(&mut services, KNOWLEDGE, &failure);
            Index::default()
        }
    };
    if let Err(failure) = ingestion {
        unreachable(&mut services, INGESTION, &failure);
    }
    if let Err(failure) = orchestrator {
        unreachable(&mut services, ORCHESTRATOR, &failure);
    }
    Ok(Status {
        state: worst(&services).to_owned(),
        version: VERSION,
        embedder: index.embedder.clone(),
        index,
        jobs: jobs::counts(app, who).await?,
        services,
    })
}

async fn reach_ingestion(app: &App, who: &Identity) -> Result<(), Failure> {
    let request = ingestion::ListSourcesRequest { page_size: 1, ..Default::default() };
    app.clients.sources(who)?.list_sources(request).await.map_err(refused(INGESTION))?;
    Ok(())
}

/// Asks for what nobody has: the refusal shows that somebody answers.
async fn reach_orchestrator(app: &App, who: &Identity) -> Result<(), Failure> {
    let project_id = ProjectId::generate().to_string();
    let request =
        orchestrator::ListOperationsRequest { project_id, page_size: 1, ..Default::default() };
    let answer = app.clients.operations(who)?.list_operations(request).await;
    match answer.map_err(refused(ORCHESTRATOR)) {
        Err(failure) if matches!(failure.reason, Reason::Unavailable | Reason::Timeout) => {
            Err(failure)
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// A service that does not answer has failed as far as we can tell, whatever it says of itself.
fn unreachable(services: &mut Vec<ServiceStatus>, name: &str, failure: &Failure) {
    let known = services.iter_mut().find(|service| service.name.starts_with(name));
    match known {
        Some(service) if service.state == "starting" => {}
        Some(service) => {
            service.state = "failed".to_owned();
            service.reason.clone_from(&failure.message);
        }
        None => services.push(ServiceStatus {
            name: name.to_owned(),
            state: "failed".to_owned(),
            reason: failure.message.clone(),
            since: None,
            restarts: 0,
        }),
    }
}

fn words(state: State) -> (String, String) {
    let (word, reason) = match state {
        State::Starting => ("starting", String::new()),
        State::Ready => ("ready", String::new()),
        State::ReadyWithout(reason) => ("ready", reason),
        State::Degraded(reason) => ("degraded", reason),
        State::Failed(reason) => ("failed", reason),
        State::Stopping => ("stopping", String::new()),
    };
    (word.to_owned(), reason)
}

fn worst(services: &[ServiceStatus]) -> &'static str {
    ["failed", "stopping", "starting", "degraded"]
        .into_iter()
        .find(|state| services.iter().any(|service| service.state == *state))
        .unwrap_or("ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_service_fails_the_whole() {
        let service = |state: &str| ServiceStatus {
            name: "x".into(),
            state: state.into(),
            reason: String::new(),
            since: None,
            restarts: 0,
        };
        assert_eq!(worst(&[service("ready"), service("ready")]), "ready");
        assert_eq!(worst(&[service("ready"), service("degraded")]), "degraded");
        assert_eq!(worst(&[service("failed"), service("degraded")]), "failed");
    }
}
