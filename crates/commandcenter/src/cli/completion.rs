//! `completion`: scripts that complete our command line in a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{cli::Cli, error::Error, output::Output};

/// Print a completion script for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "For bash: commandcenter completion bash \
                        > ~/.local/share/bash-completion/completions/commandcenter")]
pub(crate) struct Args {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(args: &Args, output: Output) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "commandcenter", &mut script);
    output.text(&String::from_utf8_lossy(&script))
}
