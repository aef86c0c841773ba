//! The orchestrator: stacks, health, logs, operations, secrets and scans.

mod held;
mod services;

pub(crate) use held::{Held, line, mark};

use std::{pin::Pin, sync::Arc};

use chassis::caller::{Caller, Role};
use futures::{Stream, stream};
use proto::{Failure, ProjectId, orchestrator::v1 as wire};
use tokio::sync::watch;
use tonic::{Request, Status};

use super::{Fake, sees};

/// What a stream answers.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Fake {
    /// Notes a call, and refuses it as the orchestrator does.
    fn ask<T>(
        &self,
        method: &'static str,
        request: &Request<T>,
        role: Role,
        project: &str,
    ) -> Result<Arc<Caller>, Status> {
        let caller = self.enter(method, request)?;
        if let Some(code) = *self.0.held.refuses.lock().unwrap() {
            return Err(Status::new(code, "no such thing"));
        }
        caller.require(role, ProjectId::parse("project_id", project)?)?;
        Ok(caller)
    }

    fn stack(&self, project: &str) -> Result<wire::Stack, Status> {
        let stacks = self.0.held.stacks.lock().unwrap();
        let missing = || Failure::not_found("stack", project).into();
        stacks.get(project).cloned().ok_or_else(missing)
    }

    /// A new operation, which goes on.
    fn begin(&self, project: &str, kind: &str, service: &str, actor: &str) -> wire::Operation {
        let operation = held::operation(project, kind, service, actor);
        self.0.held.operations.send_modify(|all| all.insert(0, operation.clone()));
        operation
    }

    fn find_operation(&self, caller: &Caller, id: &str) -> Result<wire::Operation, Status> {
        let operations = self.0.held.operations.borrow();
        let found = operations.iter().find(|it| it.id == id && sees(caller, &it.project_id));
        found.cloned().ok_or_else(|| Failure::not_found("operation", id).into())
    }
}

/// What a value is, and then what it becomes, until `last`.
fn changes<T, U>(
    receiver: watch::Receiver<T>,
    read: impl Fn(&T) -> Option<U> + Send + 'static,
    last: impl Fn(&U) -> bool + Send + 'static,
) -> Answers<U>
where
    T: Send + Sync + 'static,
    U: PartialEq + Clone + Send + 'static,
{
    let state = (receiver, None::<U>, read, last);
    Box::pin(stream::unfold(state, |(mut receiver, mut told, read, last)| async move {
        loop {
            if told.as_ref().is_some_and(&last) {
                return None;
            }
            let now = read(&receiver.borrow_and_update());
            if let Some(now) = now.filter(|now| told.as_ref() != Some(now)) {
                told = Some(now.clone());
                return Some((Ok(now), (receiver, told, read, last)));
            }
            receiver.changed().await.ok()?;
        }
    }))
}

/// The records that a request asks for, of all that there are.
fn asked(
    all: &[wire::LogRecord],
    services: &[String],
    contains: &str,
    after: &str,
    tail: u32,
) -> Vec<wire::LogRecord> {
    let matches = |record: &&wire::LogRecord| {
        let line = match &record.kind {
            Some(wire::log_record::Kind::Line(line)) => line.text.contains(contains),
            _ => contains.is_empty(),
        };
        line && (services.is_empty() || services.contains(&record.service))
    };
    let start = all.iter().position(|record| record.cursor == after).map_or(0, |at| at + 1);
    let found: Vec<_> = all[start..].iter().filter(matches).cloned().collect();
    let tail = if tail == 0 { 100 } else { tail as usize };
    let skipped = if after.is_empty() { found.len().saturating_sub(tail) } else { 0 };
    found.into_iter().skip(skipped).collect()
}
