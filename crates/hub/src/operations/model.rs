//! Operations as REST shows them.

use chrono::{DateTime, Utc};
use proto::{orchestrator::v1 as wire, time::from_wire};
use serde::Serialize;
use utoipa::ToSchema;

/// Something long that is done to a stack; it goes on when nobody watches.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Operation {
    /// Its id.
    pub(crate) id: String,
    /// The project whose stack it is about.
    pub(crate) project_id: String,
    /// `apply`, `start`, `stop`, `restart`, `remove` or `restart_service`.
    pub(crate) kind: String,
    /// The service it is about; empty for the whole stack.
    pub(crate) service: String,
    /// `running`, `succeeded`, `failed` or `superseded`.
    pub(crate) state: String,
    /// What was done so far; empty in lists.
    pub(crate) steps: Vec<OperationStep>,
    /// Why it failed, as a stable name; empty when it did not.
    pub(crate) reason: String,
    /// Why it failed, for a person.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: String,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) finished_at: Option<DateTime<Utc>>,
    /// Who asked for it.
    pub(crate) actor: String,
}

/// One step of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct OperationStep {
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<DateTime<Utc>>,
    /// The service it is about; empty for the whole stack.
    pub(crate) service: String,
    /// What is done.
    pub(crate) text: String,
    /// `done`, `failed` or `waiting`.
    pub(crate) state: String,
}

impl Operation {
    /// What it does, in words.
    pub(crate) fn title(&self) -> String {
        match self.kind.as_str() {
            "restart_service" => format!("Restart {}", self.service),
            "apply" => "Apply the stack".to_owned(),
            "start" => "Start the stack".to_owned(),
            "stop" => "Stop the stack".to_owned(),
            "restart" => "Restart the stack".to_owned(),
            "remove" => "Remove the stack".to_owned(),
            other => other.to_owned(),
        }
    }

    /// Whether it goes on.
    pub(crate) fn runs(&self) -> bool {
        self.state == "running"
    }
}

impl From<wire::Operation> for Operation {
    fn from(operation: wire::Operation) -> Self {
        Self {
            started_at: operation.started_at.as_ref().and_then(from_wire),
            finished_at: operation.finished_at.as_ref().and_then(from_wire),
            id: operation.id,
            project_id: operation.project_id,
            kind: operation.kind,
            service: operation.service,
            state: operation.state,
            steps: operation.steps.into_iter().map(OperationStep::from).collect(),
            reason: operation.reason,
            message: operation.message,
            hint: operation.hint,
            actor: operation.actor,
        }
    }
}

impl From<wire::OperationStep> for OperationStep {
    fn from(step: wire::OperationStep) -> Self {
        Self {
            at: step.at.as_ref().and_then(from_wire),
            service: step.service,
            text: step.text,
            state: step.state,
        }
    }
}
