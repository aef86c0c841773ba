//! Ingestion, knowledge and the orchestrator as the hub sees them.

mod ingestion;
mod knowledge;
pub(crate) mod orchestrator;

use std::sync::{Arc, Mutex};

use chassis::{auth, caller::Caller};
use proto::{Failure, ProjectId, ingestion::v1 as wire, knowledge::v1 as know};
use tonic::{Request, Status};

/// What the services hold, and who asked for what.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) sources: Mutex<Vec<wire::Source>>,
    pub(crate) documents: Mutex<Vec<know::Document>>,
    pub(crate) submitted: Mutex<Vec<wire::SubmitItemsRequest>>,
    pub(crate) searches: Mutex<Vec<know::SearchRequest>>,
    pub(crate) created: Mutex<Vec<wire::CreateSourceRequest>>,
    /// A source that somebody makes right after the next list of a project's sources was read.
    pub(crate) late: Mutex<Option<wire::Source>>,
    pub(crate) updated: Mutex<Vec<wire::UpdateSourceRequest>>,
    pub(crate) held: orchestrator::Held,
    /// (method, caller's name)
    pub(crate) calls: Mutex<Vec<(&'static str, String)>>,
}

/// All services over one world.
#[derive(Clone, Default)]
pub(crate) struct Fake(pub(crate) Arc<World>);

impl Fake {
    /// Notes a call and says who calls.
    fn enter<T>(&self, method: &'static str, request: &Request<T>) -> Result<Arc<Caller>, Status> {
        let caller = auth::caller(request)?;
        self.0.calls.lock().unwrap().push((method, caller.name.clone()));
        Ok(caller)
    }

    /// Who called a method, in order.
    pub(crate) fn callers_of(&self, method: &str) -> Vec<String> {
        let calls = self.0.calls.lock().unwrap();
        calls.iter().filter(|(name, _)| *name == method).map(|(_, who)| who.clone()).collect()
    }
}

/// Whether a caller may see what belongs to a project.
fn sees(caller: &Caller, project: &str) -> bool {
    project.parse::<ProjectId>().is_ok_and(|id| caller.may_read(id))
}

fn missing(what: &str, id: &str) -> Status {
    Failure::not_found(what, id).into()
}
