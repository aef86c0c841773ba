//! `operation`: what is done to a stack, step by step.

use std::time::Duration;

use clap::Subcommand;
use indicatif::ProgressBar;
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    cli::{Context, stack::Of},
    client::Live,
    error::Error,
    output::{Columns, Output, clean, details, rows},
};

/// How long an operation is waited for unless --timeout says so.
const WAIT_MAX: Duration = Duration::from_secs(3_600);

/// Operations that a list shows unless --limit says so.
const LIMIT: u32 = 20;

/// An operation's fields.
pub(crate) const COLUMNS: Columns = &[
    ("ID", "/id"),
    ("KIND", "/kind"),
    ("SERVICE", "/service"),
    ("STATE", "/state"),
    ("STARTED", "/started_at"),
    ("FINISHED", "/finished_at"),
    ("BY", "/actor"),
    ("REASON", "/reason"),
    ("MESSAGE", "/message"),
];

const STEPS: Columns =
    &[("AT", "/at"), ("STATE", "/state"), ("SERVICE", "/service"), ("STEP", "/text")];

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List what was done to a stack, newest first.
    List {
        #[command(flatten)]
        of: Of,
        /// How many at most.
        #[arg(
            short, long, default_value_t = LIMIT,
            value_parser = clap::value_parser!(u32).range(1..=200)
        )]
        limit: u32,
    },
    /// Show an operation with its steps.
    Show {
        /// The operation's id.
        id: String,
        #[command(flatten)]
        of: Of,
        /// Wait for its end, for as long as --timeout says; fails with its reason if it failed.
        #[arg(long)]
        wait: bool,
    },
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<(), Error> {
    let Context { client, output, .. } = context;
    match command {
        Command::List { of, limit } => {
            let query = [("limit", limit.to_string())];
            let answer = client.get(&["projects", &of.project, "operations"], &query).await?;
            output.items(&answer, "operations", COLUMNS)
        }
        Command::Show { id, of, wait: false } => {
            let path = ["projects", &of.project, "operations", &id];
            output.data(&client.get(&path, &[]).await?, with_steps)
        }
        Command::Show { id, of, wait: true } => {
            let ended = wait(&of.project, &id, context).await?;
            output.data(&ended, with_steps)?;
            check(&ended)
        }
    }
}

fn with_steps(operation: &Value) -> String {
    match operation["steps"].as_array().map(Vec::as_slice) {
        None | Some([]) => details(operation, COLUMNS),
        Some(steps) => format!("{}\n\n{}", details(operation, COLUMNS), rows(steps, STEPS)),
    }
}

/// Tells the steps of an operation on stderr until it has ended; answers how.
pub(crate) async fn wait(project: &str, id: &str, context: &Context) -> Result<Value, Error> {
    let limit = context.patience.unwrap_or(WAIT_MAX);
    let mut watch = Watch::new(context.output);
    match timeout(limit, watch.until_ended(project, id, context)).await {
        Ok(ended) => ended,
        Err(_) => Err(Error::Failed(format!(
            "not done within {} s; the last step: {}\n  it goes on: `commandcenter operation show \
             {id} --project {project}` shows how, and --timeout allows more",
            limit.as_secs(),
            if watch.last.is_empty() { "none yet" } else { &watch.last },
        ))),
    }
}

/// # Errors
/// When the operation did not succeed, with the reason and what to do.
pub(crate) fn check(operation: &Value) -> Result<(), Error> {
    let text = |field: &str| operation[field].as_str().unwrap_or_default();
    match text("state") {
        "succeeded" => Ok(()),
        "superseded" => Err(Error::Failed(
            "another operation took over before this one was done; `commandcenter operation list` \
             shows it"
                .to_owned(),
        )),
        state => {
            let mut message = match text("message") {
                "" => format!("the operation is {state}"),
                message => message.to_owned(),
            };
            if !text("reason").is_empty() {
                message = format!("{message} ({})", text("reason"));
            }
            if !text("hint").is_empty() {
                message = format!("{message}\n  {}", text("hint"));
            }
            Err(Error::Failed(message))
        }
    }
}

/// What a person is shown while waiting.
struct Watch {
    output: Output,
    bar: ProgressBar,
    /// Steps that were told already.
    told: usize,
    last: String,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Watch {
    fn new(output: Output) -> Self {
        Self { output, bar: output.spinner(), told: 0, last: String::new() }
    }

    async fn until_ended(
        &mut self,
        project: &str,
        id: &str,
        context: &Context,
    ) -> Result<Value, Error> {
        let path = ["projects", project, "operations", id, "events"];
        let mut live = Live::new(&context.client, &path, Vec::new(), Vec::new());
        loop {
            let event = live.next().await?;
            let Ok(operation) = serde_json::from_str::<Value>(&event.data) else { continue };
            self.tell(&operation);
            if operation["state"] != "running" {
                return Ok(operation);
            }
        }
    }

    fn tell(&mut self, operation: &Value) {
        let steps = operation["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
        for step in steps.iter().skip(self.told) {
            let text = |field: &str| step[field].as_str().unwrap_or_default();
            self.last = clean(text("text"));
            let line = format!("{:<8} {}", text("state"), self.last);
            self.bar.suspend(|| self.output.note(line));
        }
        self.told = self.told.max(steps.len());
        self.bar.set_message(self.last.clone());
    }
}
