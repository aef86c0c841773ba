//! Whether the images of services have known vulnerabilities, and what follows from that.
//!
//! - Pure: this module (what a scan found, and in a word), `gate` (what the policy makes of it),
//!   `report` (what Trivy writes).
//! - `trivy` runs the program; [`Scanner`] does so in the background, one image at a time.
//!
//! A verdict is bound to the image's id and to the age of the database that it was looked up in.
//! What could not be scanned is unknown; what was looked up in an old database is stale. Neither
//! is ever a pass.

mod gate;
mod report;
mod scanner;
mod trivy;

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::spec::Severity;

pub use gate::{Gate, Policy, decide};
pub use report::read;
pub use scanner::Scanner;
pub use trivy::Version;

/// A verdict is looked up again after this long, also when nothing else has changed.
pub const KEPT: TimeDelta = TimeDelta::hours(24);

/// What could not be scanned, or not with a fresh database, is tried again after this long.
const RETRY_AFTER: TimeDelta = TimeDelta::minutes(5);

/// How far ahead of our clock the database may be.
const AHEAD_MAX: TimeDelta = TimeDelta::days(1);

/// How images are scanned.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Trivy, by name or path.
    pub command: PathBuf,
    /// Where Trivy keeps its database; whoever runs the host fills it.
    pub cache_dir: PathBuf,
    /// Where an image lies while it is scanned; empty: the system's folder for such files.
    pub folder: PathBuf,
    /// For one image.
    pub timeout_s: u64,
    /// A database that is older makes a verdict stale.
    pub database_days_max: u16,
    /// A larger image is not scanned.
    pub image_bytes_max: u64,
    /// A longer report is not read.
    pub report_bytes_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            command: "trivy".into(),
            cache_dir: "/var/lib/commandcenter/trivy".into(),
            folder: PathBuf::new(),
            timeout_s: 300,
            database_days_max: 7,
            image_bytes_max: 16 << 30,
            report_bytes_max: 64 << 20,
        }
    }
}

impl Config {
    /// For one image.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s)
    }

    /// From when on a database is old.
    #[must_use]
    pub fn database_age_max(&self) -> TimeDelta {
        TimeDelta::days(i64::from(self.database_days_max))
    }
}

/// What one scan of one image came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// The Engine's id of the image.
    pub image: String,
    /// When.
    pub at: DateTime<Utc>,
    /// What is known of it, or why nothing is.
    pub result: Result<Found, String>,
}

/// What is known of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Vulnerabilities, once for each package that has one.
    pub counts: Counts,
    /// Of the database that they were looked up in.
    pub database_updated_at: DateTime<Utc>,
    /// What to know about it besides; empty: nothing.
    pub note: String,
}

/// Vulnerabilities by severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Counts {
    pub critical: u32,
    pub high: u32,
    pub medium: u32,
    pub low: u32,
    /// Of all these, those that another version of the package mends.
    pub fixable: u32,
}

impl Counts {
    /// Those of this severity and worse.
    #[must_use]
    pub fn at_least(&self, severity: Severity) -> u32 {
        let Self { critical, high, medium, low, .. } = *self;
        let counted = match severity {
            Severity::Critical => &[critical][..],
            Severity::High => &[critical, high],
            Severity::Medium => &[critical, high, medium],
            Severity::Low => &[critical, high, medium, low],
        };
        counted.iter().sum()
    }
}

/// A verdict in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Nothing that counts was found, in a fresh database.
    Clean,
    /// Something that counts was found.
    Findings,
    /// Nothing was found, in an old database.
    Stale,
    /// Nobody knows.
    Unknown,
}

impl Word {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Findings => "findings",
            Self::Stale => "stale",
            Self::Unknown => "unknown",
        }
    }
}

impl Scanned {
    /// The verdict for whom this severity counts.
    #[must_use]
    pub fn word(&self, severity: Severity, now: DateTime<Utc>, age_max: TimeDelta) -> Word {
        match &self.result {
            Err(_) => Word::Unknown,
            Ok(found) if found.counts.at_least(severity) > 0 => Word::Findings,
            Ok(found) if found.is_stale(now, age_max) => Word::Stale,
            Ok(_) => Word::Clean,
        }
    }

    /// Whether it is too old to be a pass.
    #[must_use]
    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        now >= self.at + KEPT
    }

    /// Whether it is time to look again.
    #[must_use]
    pub fn is_due(&self, now: DateTime<Utc>, age_max: TimeDelta) -> bool {
        let known = self.result.as_ref().is_ok_and(|it| !it.is_stale(now, age_max));
        now >= self.at + if known { KEPT } else { RETRY_AFTER }
    }
}

impl Found {
    /// Of an old database. One from the future has a wrong clock on its side or on ours, and says
    /// nothing about its age.
    #[must_use]
    pub fn is_stale(&self, now: DateTime<Utc>, age_max: TimeDelta) -> bool {
        let age = now - self.database_updated_at;
        age > age_max || age < -AHEAD_MAX
    }
}
