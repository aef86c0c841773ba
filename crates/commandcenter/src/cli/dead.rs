//! `dead`: work that failed for good, grouped by its cause.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{cli::Context, error::Error, output::Columns};

const COLUMNS: Columns = &[
    ("COUNT", "/count"),
    ("KIND", "/kind"),
    ("FIRST", "/first_seen"),
    ("LAST", "/last_seen"),
    ("SIGNATURE", "/signature"),
    ("SAMPLE", "/sample"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List dead jobs, grouped by their cause.
    List {
        /// Only this project; may be given several times.
        #[arg(short, long)]
        project: Vec<String>,
    },
    /// Try dead jobs again. Counts them first, and asks.
    #[command(after_help = "Example: commandcenter dead retry --kind ingestion.fetch --dry-run")]
    Retry(Selection),
    /// Give dead jobs up for good. Counts them first, and asks.
    Discard(Selection),
}

/// Which dead jobs; all that you see when nothing is named.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// Only this kind, such as ingestion.fetch.
    #[arg(long)]
    kind: Option<String>,
    /// Only this cause: a signature of `dead list`.
    #[arg(long)]
    signature: Option<String>,
    /// Only this job; may be given several times.
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<String>,
    /// Only this project.
    #[arg(short, long)]
    project: Option<String>,
    /// Only count.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
}

impl Selection {
    fn body(&self, dry_run: bool) -> Value {
        let mut body = json!({ "dry_run": dry_run });
        if let Some(kind) = &self.kind {
            body["kind"] = json!(kind);
        }
        if let Some(signature) = &self.signature {
            body["signature"] = json!(signature);
        }
        if !self.ids.is_empty() {
            body["ids"] = json!(self.ids);
        }
        if let Some(project) = &self.project {
            body["project"] = json!(project);
        }
        body
    }
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<(), Error> {
    match command {
        Command::List { project } => {
            let query: Vec<_> = project.into_iter().map(|project| ("project", project)).collect();
            let groups = context.client.get(&["dead-letters"], &query).await?;
            context.output.list(&groups, COLUMNS)
        }
        Command::Retry(selection) => act("retry", &selection, context).await,
        Command::Discard(selection) => act("discard", &selection, context).await,
    }
}

async fn act(verb: &str, selection: &Selection, context: &Context) -> Result<(), Error> {
    let Context { client, output, .. } = context;
    let path = ["dead-letters", verb];
    let matching = client.post(&path, &selection.body(true)).await?;
    let count = count_of(&matching);
    if selection.dry_run {
        return output.data(&matching, |_| format!("would {verb} {}", jobs(count)));
    }
    if count > 0 {
        output.confirm(&format!("This will {verb} {}", jobs(count)), selection.yes)?;
    }
    let done = client.post(&path, &selection.body(false)).await?;
    let past = if verb == "retry" { "queued again" } else { "discarded" };
    output.data(&done, |done| format!("{}: {past}", jobs(count_of(done))))
}

fn count_of(answer: &Value) -> u64 {
    answer["count"].as_u64().unwrap_or_default()
}

fn jobs(count: u64) -> String {
    if count == 1 { "1 dead job".to_owned() } else { format!("{count} dead jobs") }
}
