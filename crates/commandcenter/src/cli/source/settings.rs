//! What people decide about a source, the same for a new one and for a change.

use clap::Args;
use serde_json::{Value, json};

use super::credential::Credential;
use crate::error::Error;

/// Settings of a source; what is not named stays, or takes its default.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Its name; search results carry it.
    #[arg(long)]
    name: Option<String>,
    /// hourly, daily, weekly or five cron fields; '' means by hand only.
    #[arg(long, value_name = "WHEN")]
    schedule: Option<String>,
    /// The schedule's time zone, such as Europe/Berlin; UTC otherwise.
    #[arg(long)]
    zone: Option<String>,
    /// 1 to 10; 10 comes first, 5 is usual.
    #[arg(long, value_name = "1-10", value_parser = priority)]
    priority: Option<u8>,
    /// First import: at most this many entries.
    #[arg(long, value_name = "ITEMS")]
    first_import_items: Option<u32>,
    /// First import: at most this many days back.
    #[arg(long, value_name = "DAYS")]
    first_import_days: Option<u32>,
    /// Whether to fetch the article where the feed has only a summary.
    #[arg(long, value_name = "true|false")]
    full_text: Option<bool>,
    #[command(flatten)]
    credential: Credential,
}

impl Settings {
    /// Only what was named, in the API's form.
    pub(super) fn into_json(self) -> Result<Value, Error> {
        let mut feed = json!({});
        set(&mut feed, "first_import_items", self.first_import_items);
        set(&mut feed, "first_import_days", self.first_import_days);
        set(&mut feed, "full_text", self.full_text);
        let mut settings = json!({});
        set(&mut settings, "name", self.name);
        set(&mut settings, "schedule", self.schedule);
        set(&mut settings, "zone", self.zone);
        set(&mut settings, "priority", self.priority);
        set(&mut settings, "credential", self.credential.read()?);
        set(&mut settings, "feed", (feed != json!({})).then_some(feed));
        Ok(settings)
    }
}

/// Sets a field that has a value.
pub(super) fn set(object: &mut Value, field: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object[field] = value.into();
    }
}

/// Reads a priority.
pub(crate) fn priority(text: &str) -> Result<u8, String> {
    let number = text.parse().ok().filter(|number| (1..=10).contains(number));
    number.ok_or_else(|| "a priority is a whole number from 1 to 10, and 10 comes first".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_1_to_10() {
        assert_eq!(priority("1"), Ok(1));
        assert_eq!(priority("10"), Ok(10));
        for text in ["0", "11", "high", "", "5.5", "-1"] {
            assert!(priority(text).unwrap_err().contains("1 to 10"), "{text}");
        }
    }
}
