//! When a schedule fires. Pure.

use std::fmt;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use proto::Failure;

/// Characters of an expression or a zone that a refusal repeats, at most.
const ECHO_CHARS_MAX: usize = 100;

/// Runs that [`Schedule::next_runs`] computes, at most.
const RUNS_MAX: usize = 100;

/// When something happens: `hourly`, `daily`, `weekly`, or a cron expression of five fields, in a
/// time zone.
///
/// Daylight saving: a fixed time that the clock skips in spring happens once, right after the gap;
/// one that the clock repeats in autumn happens once, at its first.
#[derive(Clone, PartialEq, Eq)]
pub struct Schedule {
    expression: String,
    zone: Tz,
    cron: Cron,
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.expression, self.zone)
    }
}

impl Schedule {
    /// Reads an expression. `key` names who is scheduled: `hourly`, `daily` and `weekly` are
    /// spread over their period by it, always the same for one key, so that not all fire at once.
    ///
    /// # Errors
    /// `INVALID_INPUT` for `schedule` or `zone` that says what is wrong and shows an example.
    pub fn parse(expression: &str, zone: &str, key: &str) -> Result<Self, Failure> {
        let expression = expression.trim().to_lowercase();
        let zone = zone.trim().parse::<Tz>().map_err(|_| {
            Failure::invalid(
                "zone",
                format!(
                    "there is no time zone {:?}; use a name such as Europe/Berlin or UTC",
                    echo(zone)
                ),
            )
        })?;
        let cron = parse_cron(&spread(&expression, key)).map_err(|why| {
            Failure::invalid(
                "schedule",
                format!(
                    "{:?} is no schedule: {why}; use hourly, daily, weekly or five cron \
                     fields (minute hour day month weekday), such as \"*/15 * * * *\" for every \
                     quarter of an hour or \"30 6 * * 1-5\" for 6:30 on weekdays",
                    echo(&expression),
                    why = echo(&why)
                ),
            )
        })?;
        let schedule = Self { expression, zone, cron };
        if schedule.next_after(Utc::now()).is_none() {
            return Err(Failure::invalid(
                "schedule",
                format!(
                    "{:?} never happens: no year has such a day; check day and month",
                    echo(&schedule.expression)
                ),
            ));
        }
        Ok(schedule)
    }

    /// The expression as it was given, in small letters.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The zone's name.
    #[must_use]
    pub fn zone(&self) -> &'static str {
        self.zone.name()
    }

    /// The first time after `after`; none when there is none within croner's horizon.
    #[must_use]
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let next = self.cron.find_next_occurrence(&after.with_timezone(&self.zone), false).ok()?;
        Some(next.with_timezone(&Utc))
    }

    /// The last time at or before `now`.
    #[must_use]
    pub fn latest(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let last = self.cron.find_previous_occurrence(&now.with_timezone(&self.zone), true).ok()?;
        Some(last.with_timezone(&Utc))
    }

    /// The next `n` times after `after`.
    #[must_use]
    pub fn next_runs(&self, after: DateTime<Utc>, n: usize) -> Vec<DateTime<Utc>> {
        std::iter::successors(self.next_after(after), |&last| self.next_after(last))
            .take(n.min(RUNS_MAX))
            .collect()
    }

    /// The schedule in words, for pages.
    #[must_use]
    pub fn describe(&self) -> String {
        let words = self.cron.describe();
        let words = words.strip_suffix('.').unwrap_or(&words);
        match self.expression.as_str() {
            period @ ("hourly" | "daily" | "weekly") => {
                format!("{period}: {words} ({})", self.zone())
            }
            _ => format!("{words} ({})", self.zone()),
        }
    }
}

/// The start of what somebody sent.
fn echo(text: &str) -> &str {
    let end = text.char_indices().nth(ECHO_CHARS_MAX).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

/// The named periods as cron fields, at a time that depends on the key alone.
fn spread(expression: &str, key: &str) -> String {
    let place = fnv1a(key);
    let (minute, hour, weekday) = (place % 60, place / 60 % 24, place / 1440 % 7);
    match expression {
        "hourly" => format!("{minute} * * * *"),
        "daily" => format!("{minute} {hour} * * *"),
        "weekly" => format!("{minute} {hour} * * {weekday}"),
        cron => cron.to_owned(),
    }
}

fn parse_cron(expression: &str) -> Result<Cron, String> {
    const FIELDS: usize = 5;
    let fields = expression.split_whitespace().count();
    if fields != FIELDS {
        return Err(format!("it has {fields} fields instead of {FIELDS}"));
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(expression).map_err(|error| error.to_string().trim_end_matches('.').to_owned())
}

/// FNV-1a, 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>): stable over versions and
/// machines, which the standard hasher does not promise.
pub(crate) fn fnv1a(text: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    text.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().expect("a valid time")
    }

    fn check(expression: &str, zone: &str, after: &str, expect: &[&str]) {
        let schedule = Schedule::parse(expression, zone, "key").expect("a valid schedule");
        let expect: Vec<DateTime<Utc>> = expect.iter().map(|text| utc(text)).collect();
        assert_eq!(schedule.next_runs(utc(after), expect.len()), expect, "{expression} {zone}");
    }

    #[test]
    fn a_time_that_spring_skips_happens_once() {
        // Berlin, 29 March 2026: 2:00 becomes 3:00, which is 1:00 UTC.
        let expect = ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"];
        check("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", &expect);
    }

    #[test]
    fn a_time_that_autumn_repeats_happens_once() {
        // New York, 1 November 2026: 2:00 becomes 1:00, which is 6:00 UTC.
        let expect = ["2026-10-31T05:30:00Z", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"];
        check("30 1 * * *", "America/New_York", "2026-10-31T00:00:00Z", &expect);
    }

    #[test]
    fn quarters_of_an_hour_go_on_through_both() {
        let expect = ["2026-03-29T00:45:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:15:00Z"];
        check("*/15 * * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", &expect);
    }

    #[test]
    fn a_schedule_is_kept_in_its_zone() {
        check("0 9 * * 1", "Asia/Tokyo", "2026-11-22T00:00:00Z", &["2026-11-23T00:00:00Z"]);
    }

    #[test]
    fn mistakes_are_named_and_an_example_is_shown() {
        let refused = |expression, zone| {
            let failure = Schedule::parse(expression, zone, "k").expect_err("refused");
            (failure.violations[0].field.clone(), failure.message)
        };
        for expression in ["", "often", "* * * *", "61 * * * *", "* * * * * *", "0 0 30 2 *"] {
            let (field, message) = refused(expression, "UTC");
            assert_eq!(field, "schedule", "{expression}");
            assert!(message.contains(expression), "{message}");
        }
        assert!(refused("* * * *", "UTC").1.contains("4 fields instead of 5"));
        assert!(refused("61 * * * *", "UTC").1.contains("*/15 * * * *"));
        assert_eq!(refused("daily", "Mars/Base").0, "zone");
    }

    #[test]
    fn schedules_are_described_in_words() {
        let describe = |expression| {
            Schedule::parse(expression, "UTC", "key").expect("a valid schedule").describe()
        };
        assert!(describe("hourly").starts_with("hourly: "), "{}", describe("hourly"));
        assert!(describe("*/15 * * * *").contains("15"), "{}", describe("*/15 * * * *"));
    }

    #[test]
    fn named_periods_are_spread_over_their_keys() {
        let minutes: std::collections::BTreeSet<String> =
            (0..500).map(|n| spread("hourly", &format!("source:{n}"))).collect();
        assert!(minutes.len() > 50, "{} minutes of 60", minutes.len());
    }

    proptest! {
        #[test]
        fn runs_go_forward_and_are_where_the_schedule_says(
            minute in 0u32..60, hour in 0u32..24, start in 0i64..100_000_000, zone in 0usize..4,
        ) {
            let zone = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"][zone];
            let schedule = Schedule::parse(&format!("{minute} {hour} * * *"), zone, "k").unwrap();
            let after = DateTime::from_timestamp(1_750_000_000 + start, 0).unwrap();
            let runs = schedule.next_runs(after, 4);
            prop_assert_eq!(runs.len(), 4);
            for pair in runs.windows(2) {
                let apart = pair[1] - pair[0];
                // Once a day, whatever the clocks do.
                prop_assert!(apart >= TimeDelta::hours(22) && apart <= TimeDelta::hours(26));
            }
            prop_assert!(runs[0] > after);
            prop_assert_eq!(schedule.latest(runs[1]), Some(runs[1]));
        }

        #[test]
        fn any_text_is_a_schedule_or_refused(text in "\\PC{0,2000}", zone in "(UTC|\\PC{0,300})") {
            if let Err(failure) = Schedule::parse(&text, &zone, "k") {
                let field = failure.violations[0].field.as_str();
                prop_assert!(["schedule", "zone"].contains(&field));
                // An escaped character takes up to ten.
                prop_assert!(failure.message.len() < 10 * ECHO_CHARS_MAX + 1_000);
            }
        }
    }
}
