//! `job`: the ledger of background work.

use clap::Subcommand;
use serde_json::Value;

use crate::{
    cli::{Context, source},
    error::Error,
    output::{Columns, details, rows},
};

const COLUMNS: Columns = &[
    ("ID", "/id"),
    ("KIND", "/kind"),
    ("STATE", "/state"),
    ("SUBJECT", "/subject"),
    ("ATTEMPT", "/attempt"),
    ("CREATED", "/created_at"),
    ("FINISHED", "/finished_at"),
    ("LAST ERROR", "/last_error"),
];

const DETAILS: Columns = &[
    ("ID", "/id"),
    ("KIND", "/kind"),
    ("STATE", "/state"),
    ("SUBJECT", "/subject"),
    ("PROJECT", "/project"),
    ("PRIORITY", "/priority"),
    ("ATTEMPT", "/attempt"),
    ("CRASHES", "/crashes"),
    ("PROGRESS", "/progress_text"),
    ("CREATED", "/created_at"),
    ("DUE", "/due_at"),
    ("STARTED", "/started_at"),
    ("FINISHED", "/finished_at"),
    ("LAST ERROR", "/last_error"),
];

const ATTEMPTS: Columns = &[
    ("ATTEMPT", "/number"),
    ("STARTED", "/started_at"),
    ("FINISHED", "/finished_at"),
    ("OUTCOME", "/outcome"),
    ("ERROR", "/error"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List jobs, newest first.
    List {
        /// Only this state: queued, running, done, dead or cancelled; may be given several times.
        #[arg(long)]
        state: Vec<String>,
        /// Only this kind, such as ingestion.fetch; may be given several times.
        #[arg(long)]
        kind: Vec<String>,
        /// Only jobs of this source, by name or id.
        #[arg(long)]
        source: Option<String>,
        /// Only this project; may be given several times.
        #[arg(short, long)]
        project: Vec<String>,
        /// How many at most.
        #[arg(
            short, long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..)
        )]
        limit: u32,
    },
    /// Show a job with its attempts.
    Show {
        /// The job's id.
        id: String,
    },
    /// Try a dead or cancelled job again.
    Retry {
        /// The job's id.
        id: String,
    },
    /// Cancel a job that is queued or running.
    Cancel {
        /// The job's id.
        id: String,
    },
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<(), Error> {
    let Context { client, output, .. } = context;
    match command {
        Command::List { state, kind, source, project, limit } => {
            let mut query: Vec<(&str, String)> = Vec::new();
            if let Some(source) = source {
                let project = project.first().map(String::as_str);
                query.push(("source", source::id_of(client, &source, project).await?));
            }
            for (key, values) in [("state", state), ("kind", kind), ("project", project)] {
                query.extend(values.into_iter().map(|value| (key, value)));
            }
            output.list(&client.list(&["jobs"], &query, limit as usize).await?, COLUMNS)
        }
        Command::Show { id } => output.data(&client.get(&["jobs", &id], &[]).await?, with_attempts),
        Command::Retry { id } => {
            let job = client.act(&["jobs", &id, "retry"]).await?;
            output.object(&job, DETAILS)
        }
        Command::Cancel { id } => {
            let job = client.act(&["jobs", &id, "cancel"]).await?;
            output.object(&job, DETAILS)
        }
    }
}

fn with_attempts(job: &Value) -> String {
    match job["attempts"].as_array().map(Vec::as_slice) {
        None | Some([]) => details(job, DETAILS),
        Some(attempts) => format!("{}\n\n{}", details(job, DETAILS), rows(attempts, ATTEMPTS)),
    }
}
