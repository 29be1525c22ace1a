//! `parlor completions` and `parlor man`: what shells and manuals want to know of the arguments.

use std::path::PathBuf;
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

/// Arguments of `man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  parlor man /usr/local/share/man/man1")]
pub(super) struct ManArguments {
    /// The folder that the pages go to, made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn print(arguments: &CompletionsArguments) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "parlor", &mut script);
    if print_text(&String::from_utf8_lossy(&script)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

pub(super) fn write_man_pages(arguments: &ManArguments) -> ExitCode {
    let folder = &arguments.folder;
    let written =
        std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(super::Arguments::command(), folder));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("parlor: the man pages cannot be written to {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}
