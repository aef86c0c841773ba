//! What the pages of a project share: their head, and parts that the orchestrator may not answer.

use proto::{Failure, Reason};

use super::frame::PageError;
use crate::{
    app::App,
    error,
    identity::Identity,
    projects::{self, Project},
};

/// The head of a project's page.
pub(super) struct Head {
    pub(super) project: Project,
    /// Which of the pages it is.
    pub(super) tab: &'static str,
}

/// An entry of the head: its tab, the end of its address, its text.
const TABS: [(&str, &str, &str); 7] = [
    ("stack", "", "Stack"),
    ("logs", "/logs", "Logs"),
    ("resources", "/resources", "Resources"),
    ("operations", "/operations", "Operations"),
    ("failures", "/failures", "Failures"),
    ("secrets", "/secrets", "Secrets"),
    ("security", "/security", "Security"),
];

impl Head {
    /// Of the project with this slug or id.
    pub(super) async fn new(
        app: &App,
        who: &Identity,
        key: &str,
        tab: &'static str,
    ) -> Result<Self, PageError> {
        Ok(Self { project: projects::get(app, who, key).await?, tab })
    }

    pub(super) fn tabs(&self) -> &'static [(&'static str, &'static str, &'static str)] {
        &TABS
    }

    /// The address of the project's first page; the others' begin with it.
    pub(super) fn href(&self) -> String {
        format!("/projects/{}", self.project.slug)
    }

    /// The address of what belongs to it.
    pub(super) fn path(&self, end: &str) -> String {
        format!("{}{end}", self.href())
    }
}

/// What the orchestrator says of a project.
pub(super) enum Part<T> {
    Shown(T),
    /// The project has no stack.
    Nothing,
    /// Nobody can tell at the moment; why.
    Missing(String),
}

impl<T> Part<T> {
    /// A part whose absence does not hide the rest of the page.
    pub(super) fn of(result: Result<T, Failure>) -> Result<Self, PageError> {
        match result {
            Ok(shown) => Ok(Self::Shown(shown)),
            Err(failure) => match failure.reason {
                // The project was found before.
                Reason::NotFound => Ok(Self::Nothing),
                Reason::Unavailable | Reason::Timeout | Reason::Internal => {
                    error::log(&failure);
                    Ok(Self::Missing(failure.message))
                }
                _ => Err(failure.into()),
            },
        }
    }

    /// What is shown.
    pub(super) fn shown(&self) -> Option<&T> {
        match self {
            Self::Shown(shown) => Some(shown),
            Self::Nothing | Self::Missing(_) => None,
        }
    }

    /// Why nothing is shown that may be there.
    pub(super) fn missing(&self) -> Option<&str> {
        match self {
            Self::Missing(why) => Some(why),
            Self::Nothing | Self::Shown(_) => None,
        }
    }
}
