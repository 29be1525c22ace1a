//! `parlor completions`: what shells want to know of the arguments.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::output::print as print_text;

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  parlor completions bash > /etc/bash_completion.d/parlor")]
pub(super) struct CompletionsArguments {
    /// Which shell
    shell: Shell,
}

pub(super) fn print(arguments: &CompletionsArguments) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "parlor", &mut script);
    if print_text(&String::from_utf8_lossy(&script)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
