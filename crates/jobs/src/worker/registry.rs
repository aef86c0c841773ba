//! The kinds of a worker, without their types.

use futures::future::BoxFuture;
use proto::Reason;

use crate::error::Error;
use crate::job::{Job, Limits, Outcome, RetryPolicy};
use crate::run::Run;

type Runner = Box<dyn Fn(&str, Run) -> BoxFuture<'static, Result<Outcome, Error>> + Send + Sync>;

/// A kind as the worker needs it.
pub(crate) struct Registered {
    pub(crate) kind: &'static str,
    pub(crate) limits: Limits,
    pub(crate) retry: RetryPolicy,
    runner: Runner,
}

impl Registered {
    pub(crate) fn of<J: Job>(context: J::Context) -> Self {
        let runner: Runner = Box::new(move |payload, run| {
            let context = context.clone();
            match serde_json::from_str::<J>(payload) {
                Ok(job) => Box::pin(job.run(context, run)),
                Err(error) => {
                    let error = Error::permanent(
                        Reason::Internal,
                        format!("the payload is none of {}: {error}", J::KIND),
                    );
                    Box::pin(std::future::ready(Err(error)))
                }
            }
        });
        Self { kind: J::KIND, limits: J::LIMITS, retry: J::RETRY, runner }
    }

    pub(crate) fn run(
        &self,
        payload: &str,
        run: Run,
    ) -> BoxFuture<'static, Result<Outcome, Error>> {
        (self.runner)(payload, run)
    }
}
