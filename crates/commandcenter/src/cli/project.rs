//! `project`: what sources and documents belong to.

use clap::Subcommand;
use serde_json::json;

use crate::{cli::Context, error::Error, output::Columns};

const COLUMNS: Columns = &[
    ("SLUG", "/slug"),
    ("NAME", "/name"),
    ("STATE", "/state"),
    ("CREATED", "/created_at"),
    ("ID", "/id"),
];

const STARTED: Columns = &[("JOB", "/job_id")];

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the projects that you see.
    List,
    /// Make a project. The first source or document of a new project makes it too.
    Create {
        /// Its short name in URLs and commands.
        slug: String,
        /// Its name for people.
        #[arg(long)]
        name: Option<String>,
    },
    /// Show a project.
    Show {
        /// Its slug or id.
        project: String,
    },
    /// Delete a project with its stack, sources and documents.
    Delete {
        /// Its slug or id.
        project: String,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
    },
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<(), Error> {
    let Context { client, output, .. } = context;
    match command {
        Command::List => output.list(&client.get(&["projects"], &[]).await?, COLUMNS),
        Command::Create { slug, name } => {
            let project =
                client.post(&["projects"], &json!({ "slug": slug, "name": name })).await?;
            output.object(&project, COLUMNS)
        }
        Command::Show { project } => {
            output.object(&client.get(&["projects", &project], &[]).await?, COLUMNS)
        }
        Command::Delete { project, yes } => {
            let question = format!("Delete {project} with its stack, sources and documents");
            output.confirm(&question, yes)?;
            let started = client.delete(&["projects", &project]).await?;
            output.note(format_args!("a job deletes {project} now"));
            output.object(&started, STARTED)
        }
    }
}
