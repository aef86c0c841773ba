//! `stack`: a project's containers, declared by Compose files.

mod apply;
mod files;
mod status;

use clap::Subcommand;
use orchestrator::spec::{self, Limits};
use serde_json::{Value, json};

use crate::{
    cli::{Context, operation},
    compose::Resolved,
    error::Error,
    output::{Columns, Output},
};
use files::Files;

const CHANGES: Columns =
    &[("ACTION", "/action"), ("KIND", "/kind"), ("NAME", "/name"), ("BECAUSE", "/reasons")];

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what Compose files mean: the stack as it would be applied, with every default.
    Config(Files),
    #[command(flatten)]
    Client(ClientCommand),
}

/// The commands that talk to a running instance.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    /// Declare what a project's containers are; what differs is changed.
    ///
    /// The secrets that the files name are sealed and kept; their values are never shown.
    #[command(
        after_help = "Example: commandcenter stack apply -f compose.yaml --project web --wait"
    )]
    Apply {
        #[command(flatten)]
        files: Files,
        #[command(flatten)]
        change: Change,
    },
    /// Show what `apply` would do, without doing it.
    Diff {
        #[command(flatten)]
        files: Files,
        #[command(flatten)]
        of: Of,
    },
    /// Start a stack that was stopped.
    Start(Change),
    /// Stop the containers in reverse order, and keep them.
    Stop(Change),
    /// Start the processes of all services, or of one, anew.
    Restart {
        /// Only this service.
        service: Option<String>,
        #[command(flatten)]
        change: Change,
    },
    /// Remove containers and networks.
    Remove {
        /// The volumes too, with all that is in them.
        #[arg(long)]
        volumes: bool,
        #[command(flatten)]
        change: Change,
    },
    /// Show how each service does, and why.
    Status {
        #[command(flatten)]
        of: Of,
        /// Show it again with each change, until Ctrl-C.
        #[arg(short, long)]
        watch: bool,
    },
}

/// Whose stack.
#[derive(Debug, clap::Args)]
pub(crate) struct Of {
    /// The project, by slug or id.
    #[arg(short, long, value_name = "P")]
    pub(crate) project: String,
}

/// A change of a stack.
#[derive(Debug, clap::Args)]
pub(crate) struct Change {
    #[command(flatten)]
    of: Of,
    /// Wait until it is done, for as long as --timeout says; fails with the reason if it is not.
    #[arg(long)]
    wait: bool,
}

impl Change {
    fn project(&self) -> &str {
        &self.of.project
    }
}

/// Shows what files mean; needs no instance.
pub(crate) fn config(files: &Files, output: Output) -> Result<(), Error> {
    let Resolved { spec, secrets, .. } = files.resolve(output)?;
    let effective = spec::read(spec, &Limits::widest())
        .map_err(|failure| Error::Failed(failure.to_string()))?;
    let shown = serde_json::to_value(spec::write(&effective))
        .map_err(|error| Error::Failed(error.to_string()))?;
    output.data(&shown, |shown| format!("{shown:#}"))?;
    for name in secrets.keys() {
        output.note(format_args!("the secret {name} would be put"));
    }
    Ok(())
}

pub(crate) async fn run(command: ClientCommand, context: &Context) -> Result<(), Error> {
    let client = &context.client;
    match command {
        ClientCommand::Apply { files, change } => {
            let operation = apply::run(&files, change.project(), context).await?;
            finish(&change, &operation, context).await
        }
        ClientCommand::Diff { files, of } => diff(&files, &of.project, context).await,
        ClientCommand::Start(change) => act(&change, &["stack", "start"], context).await,
        ClientCommand::Stop(change) => act(&change, &["stack", "stop"], context).await,
        ClientCommand::Restart { service: None, change } => {
            act(&change, &["stack", "restart"], context).await
        }
        ClientCommand::Restart { service: Some(service), change } => {
            act(&change, &["services", &service, "restart"], context).await
        }
        ClientCommand::Remove { volumes, change } => {
            let path = ["projects", change.project(), "stack"];
            let operation = client.delete_with(&path, &[("volumes", volumes.to_string())]).await?;
            finish(&change, &operation, context).await
        }
        ClientCommand::Status { of, watch: false } => status::show(&of.project, context).await,
        ClientCommand::Status { of, watch: true } => status::watch(&of.project, context).await,
    }
}

async fn act(change: &Change, what: &[&str], context: &Context) -> Result<(), Error> {
    let path = [&["projects", change.project()], what].concat();
    let operation = context.client.act(&path).await?;
    finish(change, &operation, context).await
}

/// Waits for the end of an operation if that was asked for, and shows what there is then.
async fn finish(change: &Change, operation: &Value, context: &Context) -> Result<(), Error> {
    let Context { output, .. } = context;
    let (project, id) = (change.project(), operation["id"].as_str().unwrap_or_default());
    if !change.wait {
        output.note(format_args!(
            "accepted; `commandcenter operation show {id} --project {project}` shows how it goes"
        ));
        return output.object(operation, operation::COLUMNS);
    }
    let ended = operation::wait(project, id, context).await?;
    if !output.is_for_people() {
        output.object(&ended, operation::COLUMNS)?;
    }
    operation::check(&ended)?;
    match ended["kind"].as_str() {
        _ if !output.is_for_people() => Ok(()),
        Some("remove") => output.text("removed"),
        _ => status::show(project, context).await,
    }
}

async fn diff(files: &Files, project: &str, context: &Context) -> Result<(), Error> {
    let Context { client, output, .. } = context;
    let resolved = files.resolve(*output)?;
    let body = json!({ "spec": apply::spec(&resolved)? });
    let answer = client.post(&["projects", project, "stack", "diff"], &body).await;
    let answer = answer.map_err(|error| apply::placed(error, &resolved.origins))?;
    let changes = answer["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
    if changes.is_empty() {
        output.note("nothing would change");
        if output.is_for_people() {
            return Ok(());
        }
    }
    output.data(&answer, |_| crate::output::rows(changes, CHANGES))
}
