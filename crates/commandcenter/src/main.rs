//! The program `commandcenter`.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    commandcenter::cli::run(commandcenter::cli::Cli::parse())
}
