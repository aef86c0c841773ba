//! Waiting until a source has no work left: the fetch, and the process and index jobs it led to.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;

use crate::{
    cli::Context,
    client::{Client, PAGE_SIZE},
    error::Error,
};

/// How often the jobs are looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Dead jobs of one source that are told apart from new ones.
const DEAD_MAX: usize = 2_000;

/// Dead jobs that an error names.
const NAMED_MAX: usize = 10;

/// Whether and how long to wait.
#[derive(Debug, clap::Args)]
pub(crate) struct Wait {
    /// Wait until all jobs are done; fails if any died.
    #[arg(long)]
    wait: bool,
    /// How long to wait, in seconds.
    #[arg(
        long, value_name = "SECONDS", default_value_t = 3600,
        value_parser = clap::value_parser!(u64).range(1..=604_800)
    )]
    wait_timeout: u64,
}

impl Wait {
    /// How long to wait, when that was asked for.
    pub(crate) fn limit(&self) -> Option<Duration> {
        self.wait.then(|| Duration::from_secs(self.wait_timeout))
    }
}

/// A source's dead jobs at one time: id → when it died. A job that was retried and died again has
/// died at another time.
pub(crate) type Dead = HashMap<String, String>;

/// How the work ended.
#[derive(Debug)]
pub(crate) struct Settled {
    /// The jobs that died meanwhile.
    pub(crate) dead: Vec<Value>,
    /// Jobs that were waited for.
    pub(crate) count: usize,
}

impl Settled {
    /// # Errors
    /// When any job died, with the reasons.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.dead.is_empty() {
            return Ok(());
        }
        let text = |job: &Value, field: &str| job[field].as_str().unwrap_or_default().to_owned();
        let mut message = match self.dead.len() {
            1 => "a job died:".to_owned(),
            count => format!("{count} jobs died:"),
        };
        for job in self.dead.iter().take(NAMED_MAX) {
            let (kind, subject) = (text(job, "kind"), text(job, "subject"));
            let _ = write!(message, "\n  {kind} {subject}: {}", text(job, "last_error"));
        }
        if self.dead.len() > NAMED_MAX {
            let _ = write!(message, "\n  and {} more", self.dead.len() - NAMED_MAX);
        }
        message.push_str(
            "\nmend the cause, then `commandcenter dead retry`; `commandcenter dead list` groups \
             them by cause",
        );
        Err(Error::Failed(message))
    }
}

/// The dead jobs of a source, to be told apart from those that die later.
pub(crate) async fn dead_jobs(client: &Client, source: &str) -> Result<Dead, Error> {
    Ok(list_dead(client, source).await?.iter().map(death).collect())
}

/// Waits until no job of the source is queued or running.
pub(crate) async fn until_settled(
    context: &Context,
    source: &str,
    before: &Dead,
    limit: Duration,
) -> Result<Settled, Error> {
    let Context { client, output } = context;
    let deadline = Instant::now() + limit;
    let bar = output.progress(0, "jobs");
    let mut seen: HashSet<String> = HashSet::new();
    let mut told: HashSet<(String, String)> = HashSet::new();
    loop {
        let unfinished = unfinished(client, source).await?;
        for job in &unfinished {
            let (id, error) = (text(job, "id"), text(job, "last_error"));
            seen.insert(id.to_owned());
            if !error.is_empty() && told.insert((id.to_owned(), error.to_owned())) {
                let line = format!("will be tried again: {}: {error}", text(job, "subject"));
                bar.suspend(|| output.note(line));
            }
        }
        bar.set_length(seen.len() as u64);
        bar.set_position((seen.len() - unfinished.len().min(seen.len())) as u64);
        if unfinished.is_empty() {
            break;
        }
        if Instant::now() >= deadline {
            return Err(Error::TimedOut {
                what: format!("the work on the source, with {} jobs left,", unfinished.len()),
                seconds: limit.as_secs(),
                remedy: "it goes on; `commandcenter job list` shows it, and --wait-timeout allows \
                         more",
            });
        }
        bar.set_message(unfinished.first().map(now).unwrap_or_default());
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    bar.finish_and_clear();
    let dead = list_dead(client, source).await?;
    let dead = dead.into_iter().filter(|job| {
        let (id, at) = death(job);
        before.get(&id) != Some(&at)
    });
    Ok(Settled { dead: dead.collect(), count: seen.len() })
}

/// Both states in one request: a job that led to another between two requests would hide both.
async fn unfinished(client: &Client, source: &str) -> Result<Vec<Value>, Error> {
    let query = [
        ("source", source.to_owned()),
        ("state", "queued".to_owned()),
        ("state", "running".to_owned()),
    ];
    items(client.list(&["jobs"], &query, PAGE_SIZE).await?)
}

async fn list_dead(client: &Client, source: &str) -> Result<Vec<Value>, Error> {
    let query = [("source", source.to_owned()), ("state", "dead".to_owned())];
    items(client.list(&["jobs"], &query, DEAD_MAX).await?)
}

fn items(mut list: Value) -> Result<Vec<Value>, Error> {
    match list["items"].take() {
        Value::Array(items) => Ok(items),
        _ => Ok(Vec::new()),
    }
}

fn death(job: &Value) -> (String, String) {
    (text(job, "id").to_owned(), text(job, "finished_at").to_owned())
}

/// What a job does now, for the progress bar.
fn now(job: &Value) -> String {
    let progress = text(job, "progress_text");
    let what = if progress.is_empty() { text(job, "subject") } else { progress };
    crate::output::clean(&format!("{} {what}", text(job, "kind")))
}

fn text<'a>(job: &'a Value, field: &str) -> &'a str {
    job[field].as_str().unwrap_or_default()
}
