//! Whether a service works: questions that are asked again and again, and what follows from the
//! answers.
//!
//! [`Machine`] decides, purely, what is asked when and what the answers mean; [`ask`] asks one
//! question; [`Probers`] does so for every container that it is told of.
//!
//! A question that could not be asked has no verdict: it never makes a service unhealthy.

mod ask;
mod machine;
mod prober;
mod wire;

use std::time::Duration;

use chrono::{DateTime, Utc};

pub use ask::{Target, ask};
pub use machine::{Machine, Snapshot};
pub use prober::{Probers, Redact};

/// What is kept of an answer's output, in bytes.
pub const OUTPUT_BYTES_MAX: usize = 4096;

/// Answers that are kept for each purpose.
pub const ANSWERS_MAX: usize = 5;

/// What an answer is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Gates the other two.
    Startup,
    /// Whether it can serve now.
    Readiness,
    /// Whether only a restart can mend it.
    Liveness,
}

impl Purpose {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Startup, Self::Readiness, Self::Liveness];

    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Readiness => "readiness",
            Self::Liveness => "liveness",
        }
    }
}

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The service works.
    Success,
    /// It does not.
    Failure,
    /// It could not be asked; that is not its fault.
    Unknown,
}

impl Verdict {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Unknown => "unknown",
        }
    }
}

/// An answer, or that there was none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What it is used for.
    pub purpose: Purpose,
    /// What it says.
    pub verdict: Verdict,
    /// What the command or the server said, at most [`OUTPUT_BYTES_MAX`], without secrets.
    pub output: String,
    /// When the question was asked.
    pub at: DateTime<Utc>,
    /// How long the answer took.
    pub took: Duration,
}

/// At most [`OUTPUT_BYTES_MAX`] of a text, cut between characters.
fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(OUTPUT_BYTES_MAX));
    text
}
