//! Stacks as REST takes and shows them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use prost::Message as _;
use proto::{
    Failure, Reason,
    orchestrator::v1::{self as wire, StackSpec},
    time::from_wire,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::secrets::Value;

/// Largest spec, in bytes on the wire: its files have at most 1 MiB, and its words less.
const SPEC_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Secrets that one request brings along.
const SECRETS_MAX: usize = 100;

/// What a project's stack shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Applied {
    /// A self-contained spec, as `commandcenter stack config -o json` makes it.
    #[schema(value_type = Object)]
    pub(crate) spec: StackSpec,
    /// Values in base64 by name; put before the stack is applied, and never shown again.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, String>)]
    pub(crate) secrets: BTreeMap<String, Value>,
}

/// A spec to compare with what is applied.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Compared {
    /// A self-contained spec.
    #[schema(value_type = Object)]
    pub(crate) spec: StackSpec,
}

/// What would change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Changes {
    /// Empty when the spec is what is applied.
    pub(crate) changes: Vec<Change>,
}

/// One thing that would change.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Change {
    /// `service`, `network` or `volume`.
    pub(crate) kind: String,
    /// Its name.
    pub(crate) name: String,
    /// `create`, `recreate`, `update` or `remove`.
    pub(crate) action: String,
    /// What differs, such as `image: a -> b`.
    pub(crate) reasons: Vec<String>,
}

/// A stack as it was applied, with every default filled in.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Stack {
    /// The project it belongs to.
    pub(crate) project_id: String,
    /// Grows with each spec that differs from the one before.
    pub(crate) generation: u64,
    /// `running`, `stopped` or `removed`.
    pub(crate) desired: String,
    /// The effective spec.
    #[schema(value_type = Object)]
    pub(crate) spec: StackSpec,
    /// When it was applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) applied_at: Option<DateTime<Utc>>,
}

impl Applied {
    /// Refuses what no orchestrator would take, before anything is done.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        check_spec(&self.spec)?;
        if self.secrets.len() > SECRETS_MAX {
            let text = format!("a request brings at most {SECRETS_MAX} secrets; put some before");
            return Err(Failure::invalid("secrets", text));
        }
        self.secrets.iter().try_for_each(|(name, value)| value.check(&format!("secrets.{name}")))
    }
}

/// Refuses a spec that is too large to travel.
pub(crate) fn check_spec(spec: &StackSpec) -> Result<(), Failure> {
    let bytes = spec.encoded_len();
    if bytes <= SPEC_BYTES_MAX {
        return Ok(());
    }
    let text = format!(
        "the spec has {bytes} bytes, and may have {SPEC_BYTES_MAX}: put large files into an image"
    );
    Err(Failure::new(Reason::TooLarge, text.clone()).violation("spec", text))
}

/// What the audit log keeps of a spec: which image each service has. Values stay out of it.
pub(crate) fn images(spec: &StackSpec) -> BTreeMap<&str, &str> {
    spec.services.iter().map(|it| (it.name.as_str(), it.image.as_str())).collect()
}

impl From<wire::Change> for Change {
    fn from(change: wire::Change) -> Self {
        Self {
            kind: change.kind,
            name: change.name,
            action: change.action,
            reasons: change.reasons,
        }
    }
}

impl From<wire::Stack> for Stack {
    fn from(stack: wire::Stack) -> Self {
        Self {
            applied_at: stack.applied_at.as_ref().and_then(from_wire),
            project_id: stack.project_id,
            generation: stack.generation,
            desired: stack.desired,
            spec: stack.spec.unwrap_or_default(),
        }
    }
}
