//! Dates as feeds write them. A date that cannot be read is none, never a reason to lose an entry.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone as _, Utc};

/// Forms with a zone, tried after the two standards.
const ZONED: [&str; 6] = [
    "%Y-%m-%dT%H:%M%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S %#z",
    "%Y-%m-%dT%H:%M:%S%.f %#z",
    "%d %b %Y %H:%M:%S %#z",
    "%d %b %Y %H:%M %#z",
];

/// Forms without a zone, read as UTC.
const LOCAL: [&str; 12] = [
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%d %b %Y %H:%M:%S",
    "%d %b %Y %H:%M",
    "%d %B %Y %H:%M:%S",
    "%b %d %Y %H:%M:%S",
    "%B %d %Y %H:%M:%S",
    "%b %d %Y %H:%M",
    "%a %b %d %H:%M:%S %Y",
    "%m/%d/%Y %H:%M:%S",
];

/// Days without a time.
const DAYS: [&str; 9] = [
    "%Y-%m-%d", "%Y%m%d", "%d %b %Y", "%d %B %Y", "%b %d %Y", "%B %d %Y", "%Y/%m/%d", "%m/%d/%Y",
    "%d.%m.%Y",
];

/// Zones by name (RFC 822 and the ones that are written besides), in minutes east of Greenwich.
const ZONES: [(&str, i32); 17] = [
    ("UTC", 0),
    ("UT", 0),
    ("GMT", 0),
    ("Z", 0),
    ("EST", -300),
    ("EDT", -240),
    ("CST", -360),
    ("CDT", -300),
    ("MST", -420),
    ("MDT", -360),
    ("PST", -480),
    ("PDT", -420),
    ("BST", 60),
    ("CET", 60),
    ("CEST", 120),
    ("JST", 540),
    ("AEST", 600),
];

/// Longest text that is looked at, in bytes.
const TEXT_BYTES_MAX: usize = 100;

/// Reads RFC 3339, RFC 2822, W3C dates of any precision, asctime and common variations.
pub(crate) fn parse(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let standard =
        DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_rfc2822(text));
    if let Ok(date) = standard {
        return Some(date.to_utc());
    }
    let (text, offset_minutes) = normalise(text);
    for format in ZONED {
        if let Ok(date) = DateTime::parse_from_str(&text, format) {
            return Some(date.to_utc());
        }
    }
    let local = LOCAL
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok())
        .or_else(|| day(&text).map(|day| day.and_time(NaiveTime::MIN)))?;
    let utc = local.checked_sub_signed(chrono::TimeDelta::minutes(offset_minutes.into()))?;
    Some(Utc.from_utc_datetime(&utc))
}

fn day(text: &str) -> Option<NaiveDate> {
    let (year, month) = text.split_once('-').unwrap_or((text, "1"));
    let is_year = year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit());
    match (is_year, year.parse(), month.parse()) {
        (true, Ok(year), Ok(month)) => NaiveDate::from_ymd_opt(year, month, 1),
        _ => DAYS.iter().find_map(|format| NaiveDate::parse_from_str(text, format).ok()),
    }
}

/// Drops the name of the day and commas, and takes a zone's name off the end.
fn normalise(text: &str) -> (String, i32) {
    let text = text.replace(',', " ");
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let is_day_name = |word: &str| {
        let word = word.to_ascii_lowercase();
        let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        word.len() >= 3
            && word.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'.')
            && days.iter().any(|day| word.starts_with(day))
    };
    if words.len() > 2 && is_day_name(words[0]) {
        words.remove(0);
    }
    let mut offset_minutes = 0;
    let named = |last: &&str| ZONES.iter().find(|(name, _)| last.eq_ignore_ascii_case(name));
    if let Some((_, minutes)) = words.last().and_then(named) {
        offset_minutes = *minutes;
        words.pop();
    }
    let mut text = words.join(" ");
    // asctime puts the year last: `Jan 5 09:43:21 2004`.
    if let [month, day, time, year] = words[..]
        && time.contains(':')
        && year.len() == 4
        && month.starts_with(char::is_alphabetic)
    {
        text = format!("{month} {day} {year} {time}");
    }
    (text, offset_minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_feeds_write() {
        let at = "2003-12-31T10:14:55+00:00";
        let midnight = "2003-12-31T00:00:00+00:00";
        for (text, expect) in [
            ("2003-12-31T10:14:55Z", at),
            ("2003-12-31T10:14:55.000Z", at),
            ("2003-12-31T11:14:55+0100", at),
            ("2003-12-31 10:14:55", at),
            ("2003-12-31T10:14:55", at),
            ("Wed, 31 Dec 2003 10:14:55 GMT", at),
            ("Wed, 31 Dec 03 10:14:55 GMT", at),
            ("Thu, 31 Dec 2003 10:14:55 GMT", at),
            ("Wednesday, 31 December 2003 05:14:55 EST", at),
            ("31 Dec 2003 12:14:55 CEST", at),
            ("Wed Dec 31 10:14:55 2003", at),
            ("Wed, 31 Dec 2003", midnight),
            ("December 31, 2003", midnight),
            ("2003-12-31", midnight),
            ("20031231", midnight),
            ("2003-12", "2003-12-01T00:00:00+00:00"),
            ("2003", "2003-01-01T00:00:00+00:00"),
        ] {
            assert_eq!(
                parse(text).map(|date| date.to_rfc3339()).as_deref(),
                Some(expect),
                "{text}"
            );
        }
    }

    #[test]
    fn an_unreadable_date_is_none() {
        for text in ["", "yesterday", "31/31/2003", "2003-13-45T99:99:99Z", "💣 2003"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text: String) {
            parse(&text);
        }
    }
}
