//! Public ids: UUIDv7 made in Rust, one newtype per kind of thing so that they cannot be swapped.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::failure::{Failure, Reason, clipped};

/// How much of what is no id is repeated, in bytes.
const ECHO_BYTES_MAX: usize = 100;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            sqlx::Type,
        )]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id; ids made later sort later.
            #[must_use]
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// Reads an id that came over the wire in the field `field`.
            ///
            /// # Errors
            /// `INVALID_INPUT` that names the field when the text is not a UUID.
            pub fn parse(field: &str, text: &str) -> Result<Self, Failure> {
                text.parse().map_err(|_| {
                    let text = clipped(text.to_owned(), ECHO_BYTES_MAX);
                    Failure::new(
                        Reason::InvalidInput,
                        format!("{field} is not {} id: {text:?}; send a UUID", $what),
                    )
                    .violation(field, "must be a UUID")
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// A project: the unit that owns sources, documents and stacks.
    ProjectId, "a project"
);
id!(
    /// A source of documents.
    SourceId, "a source"
);
id!(
    /// A document, over all its revisions.
    DocumentId, "a document"
);
id!(
    /// A row of the job ledger.
    JobId, "a job"
);
id!(
    /// One run of a source.
    RunId, "a run"
);
id!(
    /// A long action on a stack.
    OperationId, "an operation"
);
id!(
    /// A user of the hub.
    UserId, "a user"
);
id!(
    /// A fact on the bus.
    EventId, "an event"
);
