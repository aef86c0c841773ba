//! The command line: what can be said, and which module does it.

mod completion;
mod dead;
mod failure;
mod hardening;
mod import;
mod job;
mod logs;
mod operation;
mod project;
mod search;
mod secret;
mod source;
mod stack;
pub(crate) mod status;
mod token;
mod top;
mod user;
mod wait;

use std::{io, path::PathBuf, process::ExitCode, time::Duration};

pub(crate) use import::import_first;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::{
    client::{self, Client},
    doctor,
    error::Error,
    output::{Format, Output},
    servers, up,
};

/// How long one request may take unless --timeout says so.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs the containers of projects, collects feeds and documents, and answers searches over them.
///
/// `commandcenter up` runs everything; the other commands talk to a running instance, which they
/// find through the data directory or COMMANDCENTER_URL and COMMANDCENTER_TOKEN_FILE.
#[derive(Debug, Parser)]
#[command(
    name = "commandcenter",
    version,
    after_help = "Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 not allowed, 5 conflict, \
                  6 unavailable or too slow."
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// How to print data.
    #[arg(short, long, global = true, value_enum, default_value = "table", value_name = "FORMAT")]
    pub(crate) output: Format,
    /// The directory of the instance's state.
    #[arg(long, global = true, env = "COMMANDCENTER_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The address of the instance, in place of the data directory's.
    #[arg(
        // Commands have addresses of their own.
        id = "instance_url", long = "url", global = true, env = "COMMANDCENTER_URL",
        value_name = "URL"
    )]
    pub(crate) url: Option<String>,
    /// A file with the API token to use.
    #[arg(long, global = true, env = "COMMANDCENTER_TOKEN_FILE", value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// How long one request, or the wait for a stack, may take, in seconds [default: 60 for a
    /// request]
    #[arg(
        long, global = true, value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    pub(crate) timeout: Option<u64>,
    /// No colours; NO_COLOR does the same.
    #[arg(long, global = true, action = ArgAction::SetTrue)]
    pub(crate) no_color: bool,
    /// Print data and errors only.
    #[arg(short, long, global = true, action = ArgAction::SetTrue)]
    pub(crate) quiet: bool,
}

impl Global {
    /// The directory of the instance's state.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(servers::default_data_dir)
    }

    /// How long one request may take.
    pub(crate) fn request_timeout(&self) -> Duration {
        self.timeout.map_or(REQUEST_TIMEOUT, Duration::from_secs)
    }

    /// How the command speaks.
    pub(crate) fn speech(&self) -> Output {
        Output { format: self.output, quiet: self.quiet }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every service in this process, with its own Postgres and NATS.
    Up(up::Args),
    #[command(flatten)]
    Client(ClientCommand),
    /// A project's containers.
    #[command(subcommand)]
    Stack(stack::Command),
    /// The configuration.
    #[command(subcommand)]
    Config(Config),
    /// Look for what is wrong with an installation, and how to mend it.
    Doctor,
    /// Print a completion script for a shell.
    Completion(completion::Args),
}

/// The commands that talk to a running instance.
#[derive(Debug, Subcommand)]
enum ClientCommand {
    /// Show how every service does; fails unless all are ready.
    Status,
    /// Where documents come from.
    #[command(subcommand)]
    Source(source::Command),
    /// Import a file or a folder of Markdown, text and HTML.
    Import(Box<import::Args>),
    /// Search all documents.
    Search(Box<search::Args>),
    /// Background work.
    #[command(subcommand)]
    Job(job::Command),
    /// Work that failed for good.
    #[command(subcommand)]
    Dead(dead::Command),
    /// What sources and documents belong to.
    #[command(subcommand)]
    Project(project::Command),
    /// People who sign in.
    #[command(subcommand)]
    User(user::Command),
    /// API tokens.
    #[command(subcommand)]
    Token(token::Command),
    Logs(Box<logs::Args>),
    Top(top::Args),
    /// What is done to a project's containers.
    #[command(subcommand)]
    Operation(operation::Command),
    /// What is known about each end of a service.
    #[command(subcommand)]
    Failure(failure::Command),
    /// Values that services get as files, and nobody else sees.
    #[command(subcommand)]
    Secret(secret::Command),
    /// Show what protects each container, as the Engine and the kernel say.
    Hardening(stack::Of),
    /// Scan the images of a project for known vulnerabilities.
    Scan(hardening::Scan),
}

#[derive(Debug, Subcommand)]
enum Config {
    /// Show every setting with its value and where that comes from.
    Explain,
}

/// What a command of the client works with.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) output: Output,
    /// How long to wait at all, when that was said.
    pub(crate) patience: Option<Duration>,
}

impl Context {
    fn of(global: &Global) -> Result<Self, Error> {
        let instance = client::find(global)?;
        let client = Client::new(&instance, global.request_timeout())?;
        let patience = global.timeout.map(Duration::from_secs);
        Ok(Self { client, output: global.speech(), patience })
    }
}

/// Does what the command line says; the exit code tells how it went.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let Cli { global, command } = cli;
    if global.no_color {
        console::set_colors_enabled(false);
        console::set_colors_enabled_stderr(false);
    }
    let output = global.speech();
    let done = match command {
        Command::Up(args) => return up::run(&global, args),
        Command::Config(Config::Explain) => return up::explain(&global),
        Command::Completion(args) => completion::run(&args, output),
        Command::Stack(stack::Command::Config(files)) => stack::config(&files, output),
        Command::Stack(stack::Command::Client(command)) => {
            block_on(async { stack::run(command, &Context::of(&global)?).await })
        }
        Command::Doctor => block_on(doctor::run(&global)),
        Command::Client(command) => block_on(ask(&global, command)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough, as `head` has.
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

async fn ask(global: &Global, command: ClientCommand) -> Result<(), Error> {
    let context = Context::of(global)?;
    match command {
        ClientCommand::Status => status::run(&context).await,
        ClientCommand::Source(command) => source::run(command, &context).await,
        ClientCommand::Import(args) => import::run(*args, &context).await,
        ClientCommand::Search(args) => search::run(*args, &context).await,
        ClientCommand::Job(command) => job::run(command, &context).await,
        ClientCommand::Dead(command) => dead::run(command, &context).await,
        ClientCommand::Project(command) => project::run(command, &context).await,
        ClientCommand::User(command) => user::run(command, &context).await,
        ClientCommand::Token(command) => token::run(command, &context).await,
        ClientCommand::Logs(args) => logs::run(*args, &context).await,
        ClientCommand::Top(args) => top::run(args, &context).await,
        ClientCommand::Operation(command) => operation::run(command, &context).await,
        ClientCommand::Failure(command) => failure::run(command, &context).await,
        ClientCommand::Secret(command) => secret::run(command, &context).await,
        ClientCommand::Hardening(of) => hardening::hardening(of, &context).await,
        ClientCommand::Scan(args) => hardening::scan(args, &context).await,
    }
}

fn block_on(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Failed(format!("cannot start: {error}")))?
        .block_on(work)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
