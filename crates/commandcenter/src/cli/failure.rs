//! `failure`: what is known about each end of a service.

use clap::Subcommand;
use serde_json::Value;

use crate::{
    cli::{Context, stack::Of},
    error::Error,
    output::Columns,
};

const COLUMNS: Columns = &[
    ("AT", "/at"),
    ("SERVICE", "/service"),
    ("REASON", "/reason"),
    ("EXIT CODE", "/exit_code"),
    ("MESSAGE", "/message"),
    ("HINT", "/hint"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List failures, newest first; -o json has the last lines, probes and usage of each.
    List {
        #[command(flatten)]
        of: Of,
        /// Only this service.
        #[arg(long)]
        service: Option<String>,
        /// How many at most.
        #[arg(
            short, long, default_value_t = 20,
            value_parser = clap::value_parser!(u32).range(1..=200)
        )]
        limit: u32,
    },
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<(), Error> {
    let Command::List { of, service, limit } = command;
    let mut query = vec![("limit", limit.to_string())];
    query.extend(service.map(|service| ("service", service)));
    let answer: Value = context.client.get(&["projects", &of.project, "failures"], &query).await?;
    context.output.items(&answer, "failures", COLUMNS)
}
