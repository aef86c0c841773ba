//! How a source is doing, in one word.

use std::{fmt, str::FromStr};

use chrono::{DateTime, TimeDelta, Utc};
use proto::Failure;

use crate::error::echo;

/// How long after its time a run may still be under way before the source counts as overdue: the
/// schedule's jitter, a queue, and one attempt of the fetch job fit into it.
pub const GRACE: TimeDelta = TimeDelta::minutes(10);

/// How a source is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// The last look went well and no other is due.
    Fresh,
    /// A look should have gone well by now, and none did.
    Overdue,
    /// The last look failed.
    Failing,
    /// Waits for a person.
    Held,
    /// A person stopped it.
    Paused,
    /// Not looked at yet.
    New,
}

impl Freshness {
    const ALL: [Self; 6] =
        [Self::Fresh, Self::Overdue, Self::Failing, Self::Held, Self::Paused, Self::New];

    /// The text form on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Overdue => "overdue",
            Self::Failing => "failing",
            Self::Held => "held",
            Self::Paused => "paused",
            Self::New => "new",
        }
    }
}

impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Freshness {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        Self::ALL.into_iter().find(|it| it.as_str() == text).ok_or_else(|| {
            let choices = Self::ALL.map(Self::as_str).join(", ");
            Failure::invalid(
                "freshness",
                format!("there is no freshness {:?}; choose one of {choices}", echo(text)),
            )
        })
    }
}

/// What the verdict rests on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts {
    /// A person stopped the source.
    pub paused: bool,
    /// It waits for a person.
    pub held: bool,
    /// Failed looks since the last good one.
    pub consecutive_failures: u32,
    /// The last good look.
    pub last_success_at: Option<DateTime<Utc>>,
    /// When the schedule wanted the first look after the last good one, or after the source was
    /// made; `None` without a schedule.
    pub due_at: Option<DateTime<Utc>>,
}

/// The verdict at `now`.
#[must_use]
pub fn judge(facts: &Facts, now: DateTime<Utc>) -> Freshness {
    let overdue = facts.due_at.is_some_and(|due| due + GRACE < now);
    match facts {
        Facts { paused: true, .. } => Freshness::Paused,
        Facts { held: true, .. } => Freshness::Held,
        Facts { consecutive_failures: 1.., .. } => Freshness::Failing,
        _ if overdue => Freshness::Overdue,
        Facts { last_success_at: None, .. } => Freshness::New,
        _ => Freshness::Fresh,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time") + TimeDelta::minutes(minute)
    }

    #[test]
    fn each_state_has_its_word() {
        let good = Facts { last_success_at: Some(at(0)), ..Facts::default() };
        let table = [
            (Facts::default(), Freshness::New),
            (Facts { due_at: Some(at(55)), ..Facts::default() }, Freshness::New),
            (Facts { due_at: Some(at(40)), ..Facts::default() }, Freshness::Overdue),
            (good, Freshness::Fresh),
            (Facts { due_at: Some(at(70)), ..good }, Freshness::Fresh),
            (Facts { due_at: Some(at(50)), ..good }, Freshness::Fresh),
            (Facts { due_at: Some(at(49)), ..good }, Freshness::Overdue),
            (Facts { consecutive_failures: 1, ..good }, Freshness::Failing),
            (Facts { consecutive_failures: 9, due_at: Some(at(0)), ..good }, Freshness::Failing),
            (Facts { held: true, consecutive_failures: 9, ..good }, Freshness::Held),
            (Facts { paused: true, held: true, ..good }, Freshness::Paused),
        ];
        for (facts, expected) in table {
            assert_eq!(judge(&facts, at(60)), expected, "{facts:?}");
        }
    }

    #[test]
    fn the_words_are_read_back_and_others_refused() {
        for it in Freshness::ALL {
            assert_eq!(it.as_str().parse(), Ok(it));
        }
        let refused = "stale".parse::<Freshness>().expect_err("no such word");
        assert!(refused.message.contains("overdue"), "{refused}");
    }
}
