//! A source: what is collected and how often, and the checks that each new or edited one passes.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use proto::{Failure, ProjectId, SourceId};
use url::Url;

use crate::error::echo;

/// Names are at most this long, in characters.
pub const NAME_CHARS_MAX: usize = 200;

/// URLs are at most this long, in bytes.
pub const URL_BYTES_MAX: usize = 2_048;

/// What a request that names no priority means.
pub const PRIORITY_DEFAULT: u8 = 5;

/// A first import takes at most this many entries, whatever its options say.
pub const FIRST_IMPORT_ITEMS_MAX: u32 = 10_000;

/// A first import goes back at most this many days: a hundred years.
pub const FIRST_IMPORT_DAYS_MAX: u32 = 36_500;

/// What a source is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RSS, Atom or JSON Feed at a URL.
    Feed,
    /// What people and programs hand over.
    Manual,
}

impl Kind {
    /// The text form in the table and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::Manual => "manual",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        match text {
            "feed" => Ok(Self::Feed),
            "manual" => Ok(Self::Manual),
            "docs" | "webhook" | "watch" => Err(Failure::invalid(
                "kind",
                format!(
                    "this server has no sources of the kind {text} yet; it has feed and manual"
                ),
            )),
            _ => Err(Failure::invalid(
                "kind",
                format!("there is no source kind {:?}; choose feed or manual", echo(text)),
            )),
        }
    }
}

/// When a source runs. Without an expression it runs by hand only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// `hourly`, `daily`, `weekly`, five cron fields, or empty.
    pub expression: String,
    /// An IANA zone.
    pub zone: String,
}

/// How a feed is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The first import takes at most this many entries.
    pub first_import_items: u32,
    /// The first import takes none that is older, in days.
    pub first_import_days: u32,
    /// Fetch the article when the feed has only a summary.
    pub full_text: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { first_import_items: 100, first_import_days: 90, full_text: true }
    }
}

/// What a person decides about a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The project that owns it.
    pub project: ProjectId,
    /// What it is made of.
    pub kind: Kind,
    /// Unique in its project.
    pub name: String,
    /// Unique in its project and kind; empty for a manual source.
    pub url: String,
    /// 1 to 10; larger is more important.
    pub priority: u8,
    /// When it runs.
    pub schedule: Schedule,
    /// A person stopped it.
    pub paused: bool,
    /// How it is read.
    pub options: Options,
}

/// A source as it is stored.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its public id.
    pub id: SourceId,
    /// What a person decided.
    pub draft: Draft,
    /// `none`, `basic`, `bearer` or `api_key`.
    pub credential_kind: String,
    /// Sealed.
    pub credential: Option<Vec<u8>>,
    /// Waits for a person.
    pub held: bool,
    /// A purge removes it.
    pub deleting: bool,
    /// Counts edits.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Since when it runs as its schedule says: made, resumed, or last given another one.
    pub scheduled_at: DateTime<Utc>,
    /// When the first import of this URL ended.
    pub imported_at: Option<DateTime<Utc>>,
    /// The last look.
    pub last_run_at: Option<DateTime<Utc>>,
    /// The last good look.
    pub last_success_at: Option<DateTime<Utc>>,
    /// Why the last look failed; empty after a good one.
    pub last_error: String,
    /// Failed looks since the last good one.
    pub consecutive_failures: u32,
}

impl Source {
    /// A source that nobody has looked at yet.
    #[must_use]
    pub fn new(draft: Draft) -> Self {
        Self {
            id: SourceId::generate(),
            draft,
            credential_kind: "none".to_owned(),
            credential: None,
            held: false,
            deleting: false,
            version: 1,
            created_at: Utc::now(),
            scheduled_at: Utc::now(),
            imported_at: None,
            last_run_at: None,
            last_success_at: None,
            last_error: String::new(),
            consecutive_failures: 0,
        }
    }

    /// The key of its schedule.
    #[must_use]
    pub fn schedule_key(&self) -> String {
        schedule_key(self.id)
    }
}

/// The key of a source's schedule.
#[must_use]
pub fn schedule_key(id: SourceId) -> String {
    format!("source:{id}")
}

/// Checks a name.
///
/// # Errors
/// `INVALID_INPUT` that names the limit.
pub fn check_name(text: &str) -> Result<String, Failure> {
    let name = text.trim();
    let chars = name.chars().count();
    let problem = if name.is_empty() {
        "name is empty".to_owned()
    } else if chars > NAME_CHARS_MAX {
        format!("name has {chars} characters")
    } else if name.chars().any(char::is_control) {
        "name has control characters".to_owned()
    } else {
        return Ok(name.to_owned());
    };
    Err(Failure::invalid("name", format!("{problem}: give 1 to {NAME_CHARS_MAX} characters")))
}

/// The name of a source that nobody named: its URL without scheme and query, cut to the limit.
#[must_use]
pub fn name_of_url(url: &str) -> String {
    let rest = url.trim().split_once("://").map_or("", |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    // What stands before an `@` may be a password.
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    rest.trim_end_matches('/').chars().take(NAME_CHARS_MAX).collect()
}

/// Checks a priority; 0 is out of its range too.
///
/// # Errors
/// `INVALID_INPUT` that names the range.
pub fn check_priority(number: u32) -> Result<u8, Failure> {
    u8::try_from(number).ok().filter(|it| (1..=10).contains(it)).ok_or_else(|| {
        Failure::invalid(
            "priority",
            format!("priority is {number}: give 1 to 10, where 10 is the most important"),
        )
    })
}

/// Checks a feed's URL and brings it into its one form, without fragment.
///
/// # Errors
/// `INVALID_INPUT` that says what is wrong and what to send instead.
pub fn check_url(text: &str) -> Result<Url, Failure> {
    let text = text.trim();
    let refuse = |message: String| Failure::invalid("url", message);
    if text.len() > URL_BYTES_MAX {
        let bytes = text.len();
        return Err(refuse(format!("url has {bytes} bytes; the limit is {URL_BYTES_MAX}")));
    }
    let mut url = Url::parse(text).map_err(|error| {
        refuse(format!("url is no URL ({error}): give one like https://example.org/feed.xml"))
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        let scheme = echo(url.scheme());
        return Err(refuse(format!(
            "url has the scheme {scheme}; only http and https are fetched"
        )));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse(
            "url has a user or password in it: send them as the source's credential, which is \
             stored sealed"
                .to_owned(),
        ));
    }
    url.set_fragment(None);
    Ok(url)
}

/// Checks how a feed is to be read; 0 means the default.
///
/// # Errors
/// `INVALID_INPUT` that names the limit.
pub fn check_options(items: u32, days: u32, full_text: Option<bool>) -> Result<Options, Failure> {
    let default = Options::default();
    let bounded = |field, number, fallback, max| match number {
        0 => Ok(fallback),
        _ if number > max => {
            Err(Failure::invalid(field, format!("{field} is {number}: give 1 to {max}")))
        }
        _ => Ok(number),
    };
    Ok(Options {
        first_import_items: bounded(
            "feed.first_import_items",
            items,
            default.first_import_items,
            FIRST_IMPORT_ITEMS_MAX,
        )?,
        first_import_days: bounded(
            "feed.first_import_days",
            days,
            default.first_import_days,
            FIRST_IMPORT_DAYS_MAX,
        )?,
        full_text: full_text.unwrap_or(default.full_text),
    })
}

/// Collects what is wrong with several fields, so that a form can show all of it at once.
#[derive(Default)]
pub struct Checks(Option<Failure>);

impl Checks {
    /// Keeps the failure of a check, if it failed.
    pub fn take<T>(&mut self, checked: Result<T, Failure>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(failure) => {
                match &mut self.0 {
                    None => self.0 = Some(failure),
                    Some(first) => {
                        first.message = format!("{}; {}", first.message, failure.message);
                        first.violations.extend(failure.violations);
                    }
                }
                None
            }
        }
    }

    /// What was made of the checked values, which is there when every check passed.
    ///
    /// # Errors
    /// One failure with all violations.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Failure> {
        match self.0 {
            Some(failure) => Err(failure),
            None => Ok(value.expect("a check that gives no value leaves a failure")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<T: fmt::Debug>(checked: Result<T, Failure>, field: &str) -> String {
        let failure = checked.expect_err("refused");
        assert_eq!(failure.violations[0].field, field);
        failure.message
    }

    #[test]
    fn priorities_from_1_to_10_pass() {
        assert_eq!(check_priority(1), Ok(1));
        assert_eq!(check_priority(10), Ok(10));
        for number in [0, 11, 266, u32::MAX] {
            assert!(refusal(check_priority(number), "priority").contains("1 to 10"));
        }
    }

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(check_name("  Blog "), Ok("Blog".to_owned()));
        assert_eq!(check_name(&"é".repeat(200)), Ok("é".repeat(200)));
        for name in ["", " \t", &"n".repeat(201), "a\nb", "a\0b"] {
            assert!(refusal(check_name(name), "name").contains("1 to 200 characters"), "{name:?}");
        }
    }

    #[test]
    fn urls_have_one_form_and_no_secrets() {
        let url = check_url(" HTTPS://Example.org:443/a#top ").expect("a URL");
        assert_eq!(url.as_str(), "https://example.org/a");
        for text in ["", "example.org/feed", "ftp://example.org/", "file:///etc/passwd", "http://"]
        {
            refusal(check_url(text), "url");
        }
        assert!(refusal(check_url("https://u:p@example.org/"), "url").contains("credential"));
        let broken = refusal(check_url("https://me:hunter2@a.example:port/?key=hunter2"), "url");
        assert!(!broken.contains("hunter2"), "{broken}");
        let long = format!("https://example.org/{}", "a".repeat(URL_BYTES_MAX));
        assert!(refusal(check_url(&long), "url").contains("2048"));
    }

    #[test]
    fn kinds_to_come_are_refused_by_name() {
        assert!(refusal("docs".parse::<Kind>(), "kind").contains("feed and manual"));
        assert!(refusal("rss".parse::<Kind>(), "kind").contains("choose feed or manual"));
        let endless = refusal("x".repeat(100_000).parse::<Kind>(), "kind");
        assert!(endless.len() < 200, "a caller's text is not repeated as a whole");
    }

    #[test]
    fn options_default_and_are_bounded() {
        assert_eq!(check_options(0, 0, None), Ok(Options::default()));
        refusal(check_options(10_001, 0, None), "feed.first_import_items");
        refusal(check_options(0, 36_501, None), "feed.first_import_days");
    }

    #[test]
    fn a_form_hears_of_every_field_at_once() {
        let mut checks = Checks::default();
        assert_eq!(checks.take(check_priority(11)), None);
        assert_eq!(checks.take(check_name("ok")), Some("ok".to_owned()));
        assert_eq!(checks.take(check_url("x")), None);
        let failure = checks.finish(None::<()>).expect_err("two are wrong");
        let fields: Vec<&str> = failure.violations.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(fields, ["priority", "url"]);
        assert_eq!(Checks::default().finish(Some(7)), Ok(7));
    }
}
