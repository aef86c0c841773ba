//! `logs`: what the services of a stack write.

mod line;

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, Utc};
use serde_json::Value;

use crate::{
    cli::Context,
    client::Live,
    error::Error,
    output::{Format, Output},
};
use line::Line;

/// Lines that are shown unless --tail says so.
const TAIL: u32 = 100;

/// Show what services write, over restarts and recreation.
///
/// Lines go to standard output as they were written; what else happened, such as an end or a gap,
/// to standard error. With -o json, a record is a line of its own when following.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: commandcenter logs web backend --tail 20 --follow")]
pub(crate) struct Args {
    /// The project, by slug or id.
    project: String,
    /// The services; none means all, by time.
    service: Vec<String>,
    /// The last so many lines, 1 to 10000.
    #[arg(
        short = 'n', long, default_value_t = TAIL, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=10_000)
    )]
    tail: u32,
    /// Written at or after this time, or so long ago: 2026-01-31T12:00:00Z, 2026-01-31, 10m.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    since: Option<DateTime<Utc>>,
    /// Written before this time, or so long ago.
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with = "follow")]
    until: Option<DateTime<Utc>>,
    /// Go on with what comes, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
    /// Only lines that contain this text.
    #[arg(long, value_name = "TEXT")]
    contains: Option<String>,
    /// Only lines of this level and worse.
    #[arg(long, value_parser = ["trace", "debug", "info", "warn", "error"])]
    level: Option<String>,
}

/// Of a query, by name.
type Parameters = Vec<(&'static str, String)>;

impl Args {
    /// What is asked for, and of that what says where to begin.
    fn query(&self) -> (Parameters, Parameters) {
        let mut query: Vec<_> =
            self.service.iter().map(|service| ("service", service.clone())).collect();
        query.extend(self.contains.iter().map(|text| ("contains", text.clone())));
        query.extend(self.level.iter().map(|level| ("level", level.clone())));
        let time = |it: DateTime<Utc>| it.to_rfc3339_opts(SecondsFormat::Nanos, true);
        query.extend(self.until.map(|until| ("until", time(until))));
        let mut beginning = vec![("tail", self.tail.to_string())];
        beginning.extend(self.since.map(|since| ("since", time(since))));
        (query, beginning)
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Error> {
    let show = Show { output: context.output, named: args.service.len() != 1 };
    if args.follow { follow(&args, show, context).await } else { once(&args, show, context).await }
}

async fn once(args: &Args, show: Show, context: &Context) -> Result<(), Error> {
    let (mut query, beginning) = args.query();
    query.extend(beginning);
    let answer = context.client.get(&["projects", &args.project, "logs"], &query).await?;
    if show.output.format == Format::Json {
        return show.output.text(&format!("{answer:#}"));
    }
    let records = answer["records"].as_array().map(Vec::as_slice).unwrap_or_default();
    records.iter().try_for_each(|record| show.record(record))
}

async fn follow(args: &Args, show: Show, context: &Context) -> Result<(), Error> {
    let (mut query, beginning) = args.query();
    query.push(("follow", "true".to_owned()));
    let path = ["projects", &args.project, "logs"];
    let mut live = Live::new(&context.client, &path, query, beginning);
    loop {
        let event = live.next().await?;
        let Ok(record) = serde_json::from_str::<Value>(&event.data) else { continue };
        if record["kind"].is_null() {
            continue; // Something that this version does not know.
        }
        if show.output.format == Format::Json {
            show.output.line(&record.to_string())?;
        } else {
            show.record(&record)?;
        }
    }
}

/// How records are shown to people.
#[derive(Clone, Copy)]
struct Show {
    output: Output,
    /// Each line with its service.
    named: bool,
}

impl Show {
    fn record(self, record: &Value) -> Result<(), Error> {
        match line::of(record, self.named, io::stdout().is_terminal()) {
            Line::Text(text) => self.output.line(&text),
            Line::Note(text) => {
                self.output.note(text);
                Ok(())
            }
        }
    }
}

/// A time, a day, or how long ago.
fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    let ago: Option<Duration> = crate::compose::duration(text).ok();
    ago.and_then(|ago| Utc::now().checked_sub_signed(chrono::TimeDelta::from_std(ago).ok()?))
        .ok_or_else(|| "write a time such as 2026-01-31T12:00:00Z, a day, or 10m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_days_or_lengths() {
        assert_eq!(
            instant("2026-01-31T12:00:00+01:00").unwrap().to_rfc3339(),
            "2026-01-31T11:00:00+00:00"
        );
        assert_eq!(instant("2026-01-31").unwrap().to_rfc3339(), "2026-01-31T00:00:00+00:00");
        let ago = (Utc::now() - instant("1h30m").unwrap()).num_seconds();
        assert!((5_390..5_410).contains(&ago), "{ago}");
        for bad in ["", "yesterday", "10", "999999999h"] {
            assert!(instant(bad).is_err(), "{bad}");
        }
    }
}
