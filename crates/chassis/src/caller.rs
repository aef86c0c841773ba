//! Who calls, and what they may do.

use std::{collections::BTreeSet, str::FromStr};

use proto::{Failure, ProjectId, Reason};

/// What a caller may do; each role may all that the one before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Changes sources, documents and jobs.
    Operator,
    /// Changes users and tokens, reads the audit log.
    Admin,
    /// One of our own services.
    Service,
}

impl Role {
    /// The text form in tables and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Service => "service",
        }
    }
}

impl FromStr for Role {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "operator" => Ok(Self::Operator),
            "admin" => Ok(Self::Admin),
            "service" => Ok(Self::Service),
            _ => Err(Failure::invalid(
                "role",
                format!("there is no role {text:?}; choose viewer, operator or admin"),
            )),
        }
    }
}

/// Which projects a caller sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All, also those that do not exist yet.
    All,
    /// These.
    Projects(BTreeSet<ProjectId>),
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token's id.
    pub id: String,
    /// The user's or service's name, for the audit log.
    pub name: String,
    /// What the caller may do.
    pub role: Role,
    /// Where.
    pub scope: Scope,
}

impl Caller {
    /// Whether the caller may know of `project` at all.
    #[must_use]
    pub fn may_read(&self, project: ProjectId) -> bool {
        match &self.scope {
            Scope::All => true,
            Scope::Projects(projects) => projects.contains(&project),
        }
    }

    /// Demands a role wherever the caller may act.
    ///
    /// # Errors
    /// `FORBIDDEN` that names both roles.
    pub fn require_role(&self, role: Role) -> Result<(), Failure> {
        if self.role >= role {
            return Ok(());
        }
        Err(Failure::new(
            Reason::Forbidden,
            format!(
                "{} has the role {}; this needs {}: ask an administrator",
                self.name,
                self.role.as_str(),
                role.as_str()
            ),
        ))
    }

    /// Demands a role in one project.
    ///
    /// # Errors
    /// `NOT_FOUND` when the project is outside the caller's scope, so that its existence stays
    /// unknown; `FORBIDDEN` when the role is too low.
    pub fn require(&self, role: Role, project: ProjectId) -> Result<(), Failure> {
        if !self.may_read(project) {
            return Err(Failure::not_found("project", project));
        }
        self.require_role(role)
    }

    /// Narrows a request for some projects (none asked means every one) to what the caller may
    /// read. `None` means no restriction; an empty list means nothing at all.
    #[must_use]
    pub fn readable(&self, asked: &[ProjectId]) -> Option<Vec<ProjectId>> {
        match (&self.scope, asked) {
            (Scope::All, []) => None,
            (Scope::All, asked) => Some(asked.to_vec()),
            (Scope::Projects(projects), []) => Some(projects.iter().copied().collect()),
            (Scope::Projects(projects), asked) => {
                Some(asked.iter().copied().filter(|id| projects.contains(id)).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_project_does_not_exist_for_a_scoped_caller() {
        let (mine, other) = (ProjectId::generate(), ProjectId::generate());
        let caller = Caller {
            id: "t".into(),
            name: "ann".into(),
            role: Role::Operator,
            scope: Scope::Projects([mine].into()),
        };
        assert_eq!(caller.require(Role::Operator, mine), Ok(()));
        let refused = caller.require(Role::Viewer, other).expect_err("outside the scope");
        assert_eq!(refused.reason, Reason::NotFound);
        let refused = caller.require(Role::Admin, mine).expect_err("too low");
        assert_eq!(refused.reason, Reason::Forbidden);
        assert_eq!(caller.readable(&[other]), Some(vec![]));
        assert_eq!(caller.readable(&[]), Some(vec![mine]));
    }
}
