//! The hub's tables, one file each.

pub(crate) mod api_token;
pub(crate) mod audit;
pub(crate) mod project;
pub(crate) mod session;
pub(crate) mod user;

use std::collections::BTreeSet;

use chassis::caller::{Role, Scope};
use proto::{Failure, ProjectId, Reason};
use uuid::Uuid;

/// The hub's migrations.
pub(crate) static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// The two columns that hold a scope.
pub(crate) fn scope_columns(scope: &Scope) -> (bool, Vec<Uuid>) {
    match scope {
        Scope::All => (true, Vec::new()),
        Scope::Projects(projects) => (false, projects.iter().map(|id| id.0).collect()),
    }
}

/// The scope that two columns hold.
pub(crate) fn scope_of(all: bool, projects: Vec<Uuid>) -> Scope {
    if all {
        return Scope::All;
    }
    Scope::Projects(projects.into_iter().map(ProjectId).collect::<BTreeSet<_>>())
}

/// The role that a checked column holds.
pub(crate) fn role_of(text: &str) -> Result<Role, Failure> {
    text.parse().map_err(|_| Failure::new(Reason::Internal, format!("unknown role {text:?}")))
}
