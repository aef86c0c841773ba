//! Small pieces of pages: times, numbers, states. Pure.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

/// HTML that is safe as it is: every value in it was escaped or cannot hold markup.
pub(crate) struct Markup(pub(crate) String);

impl fmt::Display for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::FastWritable for Markup {
    fn write_into(&self, dest: &mut dyn fmt::Write, _: &dyn askama::Values) -> askama::Result<()> {
        Ok(dest.write_str(&self.0)?)
    }
}

impl askama::filters::HtmlSafe for Markup {}

/// A moment: in words, and in full as its tooltip.
pub(crate) fn time(at: &DateTime<Utc>) -> Markup {
    Markup(format!(
        "<time datetime=\"{}\" title=\"{}\">{}</time>",
        at.format("%Y-%m-%dT%H:%M:%SZ"),
        at.format("%Y-%m-%d %H:%M:%S UTC"),
        relative(*at, Utc::now())
    ))
}

/// A moment that may not have come yet; a dash when it has not.
pub(crate) fn maybe_time(at: &Option<DateTime<Utc>>) -> Markup {
    at.as_ref().map_or_else(|| Markup("<span class=\"muted\">–</span>".to_owned()), time)
}

/// A day.
pub(crate) fn day(at: &DateTime<Utc>) -> Markup {
    let day = at.format("%Y-%m-%d");
    Markup(format!("<time datetime=\"{day}\">{day}</time>"))
}

/// A size with one unit.
pub(crate) fn bytes(value: &u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut size, mut unit) = (*value as f64, 0);
    while size >= 1_024.0 && unit + 1 < UNITS.len() {
        size /= 1_024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && size < 10.0);
    format!("{size:.digits$} {}", UNITS[unit])
}

/// How much of a limit is used, and the most that was; without a limit there is nothing to draw.
pub(crate) fn bar(used: &u64, peak: &u64, limit: &u64) -> Markup {
    if *limit == 0 {
        return Markup(String::new());
    }
    let part = |value: &u64| (*value as f64 / *limit as f64 * 100.0).min(100.0);
    let look = match part(used) {
        ..80.0 => "",
        80.0..95.0 => " warn",
        _ => " bad",
    };
    let mark = match part(peak) {
        peak if peak > part(used) => {
            format!("<rect class=\"peak\" x=\"{:.1}\" width=\"1\" height=\"8\"/>", peak - 1.0)
        }
        _ => String::new(),
    };
    Markup(format!(
        "<svg class=\"bar{look}\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" \
         aria-hidden=\"true\"><rect class=\"used\" width=\"{:.1}\" height=\"8\"/>{mark}</svg>",
        part(used)
    ))
}

/// A number with thin groups of three, to be read at a glance.
pub(crate) fn number(value: &u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The parts of a text with `code` in it, each with whether it is code.
pub(crate) fn ticks(text: &str) -> impl Iterator<Item = (bool, &str)> {
    text.split('`').enumerate().map(|(place, part)| (!place.is_multiple_of(2), part))
}

/// Whether two texts are the same, however a template holds them.
pub(crate) fn same(a: impl AsRef<str>, b: impl AsRef<str>) -> bool {
    a.as_ref() == b.as_ref()
}

/// A score with as many digits as tell results apart.
pub(crate) fn score(value: &f64) -> String {
    format!("{value:.4}")
}

/// A state as an icon and a word, so that colour never tells alone.
pub(crate) fn badge(state: &str) -> Markup {
    let (class, icon) = match state {
        "ready" | "fresh" | "done" | "active" | "accepted" | "works" | "succeeded" | "success"
        | "clean" | "kept" | "hardened" => ("good", "✓"),
        "running" | "starting" | "building" => ("busy", "▸"),
        "queued" | "new" | "stopping" | "waiting" => ("calm", "○"),
        "degraded" | "overdue" | "held" | "deleting" | "rate_limited" | "transient" | "stale"
        | "excepted" => ("warn", "!"),
        "failed" | "failing" | "dead" | "permanent" | "crashed" | "failure" | "findings"
        | "broken" => ("bad", "✕"),
        "paused" | "yielded" | "cancelled" | "retired" | "revoked" | "expired" | "stopped"
        | "superseded" | "removed" => ("calm", "‖"),
        "unknown" => ("warn", "?"),
        _ => ("calm", "·"),
    };
    let word: String = state.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let word = word.replace('_', " ");
    Markup(format!(
        "<span class=\"badge {class}\"><span aria-hidden=\"true\">{icon}</span> {word}</span>"
    ))
}

/// "3 min ago", "in 2 h".
fn relative(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let distance = now - at;
    let amount = span(distance.abs());
    if distance.abs() < TimeDelta::seconds(5) {
        "now".to_owned()
    } else if distance > TimeDelta::zero() {
        format!("{amount} ago")
    } else {
        format!("in {amount}")
    }
}

/// A length of time with one unit.
fn span(length: TimeDelta) -> String {
    let seconds = length.num_seconds();
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        172_800..5_184_000 => format!("{} days", seconds / 86_400),
        _ => format!("{} months", seconds / 2_592_000),
    }
}

/// How long something took, or has been taking.
pub(crate) fn took(from: &Option<DateTime<Utc>>, to: &Option<DateTime<Utc>>) -> String {
    let Some(from) = from else { return "–".to_owned() };
    let length = to.unwrap_or_else(Utc::now) - from;
    if length < TimeDelta::seconds(10) {
        return format!("{} ms", length.num_milliseconds().max(0));
    }
    span(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_like_speech() {
        let now = Utc::now();
        let check = |seconds: i64, words: &str| {
            assert_eq!(relative(now - TimeDelta::seconds(seconds), now), words);
        };
        check(2, "now");
        check(59, "59 s ago");
        check(-120, "in 2 min");
        check(3 * 3_600, "3 h ago");
        check(5 * 86_400, "5 days ago");
        check(400 * 86_400, "13 months ago");
    }

    #[test]
    fn sizes_have_one_unit_and_bars_end_at_the_limit() {
        for (value, text) in
            [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (64 << 20, "64 MiB")]
        {
            assert_eq!(bytes(&value), text);
        }
        assert!(bar(&1, &1, &0).0.is_empty());
        assert!(
            bar(&300, &400, &200).0.contains("bar bad") && !bar(&300, &400, &200).0.contains("300")
        );
        assert!(bar(&10, &50, &100).0.contains("x=\"49.0\""));
    }

    #[test]
    fn numbers_are_grouped() {
        for (value, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")]
        {
            assert_eq!(number(&value), text);
        }
    }

    #[test]
    fn a_state_cannot_carry_markup() {
        assert!(!badge("<script>").0.contains("<script>"));
    }
}
