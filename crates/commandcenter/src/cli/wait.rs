//! Waiting until a source has no work left: the fetch, and the process and index jobs it led to.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    time::Duration,
};

use indicatif::ProgressBar;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    cli::Context,
    client::{Client, PAGE_SIZE},
    error::Error,
    output::{Output, clean},
};

/// How often the jobs are looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How long the instance may be silent before the wait is given up.
const SILENCE_MAX: Duration = Duration::from_secs(60);

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
    let mut watch = Watch::new(context.output);
    let deadline = Instant::now() + limit;
    let mut silent_since = None;
    loop {
        match unfinished(&context.client, source).await {
            Ok(jobs) if jobs.is_empty() => break,
            Ok(jobs) => {
                silent_since = None;
                watch.look(&jobs);
            }
            // The work goes on without us, also while the instance is started again.
            Err(error) if error.may_pass() => {
                let since = *silent_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= SILENCE_MAX {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        if Instant::now() >= deadline {
            return Err(Error::TimedOut {
                what: format!("the work on the source, with {} jobs left,", watch.left),
                seconds: limit.as_secs(),
                remedy: "it goes on; `commandcenter job list` shows it, and --wait-timeout allows \
                         more",
            });
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    watch.bar.finish_and_clear();
    let dead = list_dead(&context.client, source).await?.into_iter().filter(|job| {
        let (id, at) = death(job);
        before.get(&id) != Some(&at)
    });
    Ok(Settled { dead: dead.collect(), count: watch.seen.len() })
}

/// What a person is shown while waiting.
struct Watch {
    output: Output,
    bar: ProgressBar,
    /// Jobs that were there at some look.
    seen: HashSet<String>,
    /// (job, error) that was told already.
    told: HashSet<(String, String)>,
    /// Jobs at the last look.
    left: usize,
}

impl Watch {
    fn new(output: Output) -> Self {
        let bar = output.progress(0, "jobs");
        Self { output, bar, seen: HashSet::new(), told: HashSet::new(), left: 0 }
    }

    fn look(&mut self, unfinished: &[Value]) {
        for job in unfinished {
            let (id, error) = (text(job, "id"), text(job, "last_error"));
            self.seen.insert(id.to_owned());
            if !error.is_empty() && self.told.insert((id.to_owned(), error.to_owned())) {
                let line = format!("will be tried again: {}: {error}", text(job, "subject"));
                self.bar.suspend(|| self.output.note(line));
            }
        }
        self.left = unfinished.len();
        self.bar.set_length(self.seen.len() as u64);
        self.bar.set_position(self.seen.len().saturating_sub(self.left) as u64);
        self.bar.set_message(unfinished.first().map(now).unwrap_or_default());
    }
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
    clean(&format!("{} {what}", text(job, "kind")))
}

fn text<'a>(job: &'a Value, field: &str) -> &'a str {
    job[field].as_str().unwrap_or_default()
}
