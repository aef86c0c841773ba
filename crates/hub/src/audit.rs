//! The audit log: who did what to which object.

use proto::{Failure, ProjectId};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgExecutor;
use utoipa::ToSchema;

use crate::{
    app::App,
    db::{self, audit::Entry},
    identity::Identity,
    page::{self, Page},
};

/// One entry.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditEntry {
    /// When.
    pub(crate) at: chrono::DateTime<chrono::Utc>,
    /// Who: the user's or token's name.
    pub(crate) actor: String,
    /// The user's or token's id.
    pub(crate) actor_id: String,
    /// What, such as `source.update`.
    pub(crate) action: String,
    /// The object's name at that time.
    pub(crate) object: String,
    /// The object's id.
    pub(crate) object_id: String,
    /// The project it belongs to.
    pub(crate) project_id: Option<String>,
    /// What changed, as it was; never a secret.
    #[schema(value_type = Option<Object>)]
    pub(crate) before: Option<Value>,
    /// What changed, as it is.
    #[schema(value_type = Option<Object>)]
    pub(crate) after: Option<Value>,
}

/// What was done, to be recorded.
pub(crate) struct Act<'a> {
    /// `object.verb`.
    pub(crate) action: &'a str,
    pub(crate) object: &'a str,
    pub(crate) object_id: &'a str,
    pub(crate) project: Option<ProjectId>,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

impl<'a> Act<'a> {
    /// An act on a named object.
    pub(crate) fn new(action: &'a str, object: &'a str, object_id: &'a str) -> Self {
        Self { action, object, object_id, project: None, before: None, after: None }
    }

    /// The project that the object belongs to.
    pub(crate) fn of(mut self, project: Option<ProjectId>) -> Self {
        self.project = project;
        self
    }

    /// What the act changed: fields that stayed the same are left out.
    pub(crate) fn change(mut self, before: &impl Serialize, after: &impl Serialize) -> Self {
        let (before, after) = difference(to_value(before), to_value(after));
        (self.before, self.after) = (Some(before), Some(after));
        self
    }

    /// That the act changed a secret, which is all that may be said of it.
    pub(crate) fn secret(mut self, field: &str, what: &str) -> Self {
        if let Some(Value::Object(after)) = &mut self.after {
            after.insert(field.to_owned(), what.into());
        }
        self
    }

    /// What the act made.
    pub(crate) fn made(mut self, after: &impl Serialize) -> Self {
        self.after = Some(to_value(after));
        self
    }
}

/// Records an act, best in the transaction that does it.
pub(crate) async fn record(
    db: impl PgExecutor<'_>,
    who: &Identity,
    act: Act<'_>,
) -> Result<(), Failure> {
    let entry = Entry {
        actor_id: &who.caller.id,
        actor: &who.caller.name,
        action: act.action,
        object: act.object,
        object_id: act.object_id,
        project: act.project,
        before: act.before,
        after: act.after,
    };
    db::audit::insert(db, entry).await
}

/// Records an act that another service has carried out: it cannot be undone here, so a failure to
/// record it is logged with who did what to which object; what changed is lost.
pub(crate) async fn record_done(app: &App, who: &Identity, act: Act<'_>) {
    let (action, object_id) = (act.action.to_owned(), act.object_id.to_owned());
    if let Err(failure) = record(&app.pool, who, act).await {
        tracing::error!(
            actor = who.caller.name,
            action,
            object_id,
            error = failure.message,
            "an act could not be recorded in the audit log"
        );
    }
}

/// Entries, newest first, for administrators.
pub(crate) async fn list(
    app: &App,
    who: &Identity,
    page_token: Option<&str>,
    size: u32,
) -> Result<Page<AuditEntry>, Failure> {
    who.require_admin()?;
    let rows = db::audit::page(&app.pool, page::number(page_token)?, i64::from(size)).await?;
    let next_page_token = match rows.last() {
        Some(last) if rows.len() == size as usize => last.id.to_string(),
        _ => String::new(),
    };
    Ok(Page { items: rows.into_iter().map(AuditEntry::from).collect(), next_page_token })
}

impl From<db::audit::Row> for AuditEntry {
    fn from(row: db::audit::Row) -> Self {
        Self {
            at: row.at,
            actor: row.actor,
            actor_id: row.actor_id,
            action: row.action,
            object: row.object,
            object_id: row.object_id,
            project_id: row.project_id.map(|id| id.to_string()),
            before: row.before,
            after: row.after,
        }
    }
}

fn to_value(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// Two objects without the fields that are the same in both.
fn difference(before: Value, after: Value) -> (Value, Value) {
    match (before, after) {
        (Value::Object(mut before), Value::Object(mut after)) => {
            let same: Vec<String> = before
                .iter()
                .filter(|(key, value)| after.get(*key) == Some(value))
                .map(|(key, _)| key.clone())
                .collect();
            for key in same {
                before.remove(&key);
                after.remove(&key);
            }
            (Value::Object(before), Value::Object(after))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_holds_only_what_changed() {
        let (before, after) =
            difference(json!({"name": "a", "priority": 5}), json!({"name": "a", "priority": 7}));
        assert_eq!((before, after), (json!({"priority": 5}), json!({"priority": 7})));
    }
}
