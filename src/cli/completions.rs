//! `parlor completions`: completion scripts for shells.

use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

use super::output::print as print_text;

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  parlor completions bash > /etc/bash_completion.d/parlor")]
pub struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

/// Prints the script for `command`.
pub fn print(arguments: &CompletionsArguments, mut command: Command) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "parlor", &mut script);
    if print_text(&String::from_utf8_lossy(&script)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
