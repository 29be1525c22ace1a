//! `parlor man`: a page for each command, and parlor.toml(5).
//!
//! What the pages say comes from the arguments and from the reference of the config, so that neither can say what is not so.

mod config;
mod pages;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory};

use super::output::complain;

/// Arguments of `man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  parlor man man && cp man/*.1 /usr/local/share/man/man1 && cp man/*.5 /usr/local/share/man/man5")]
pub(super) struct ManArguments {
    /// The folder that the pages go to, made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Writes all pages.
pub(super) fn write(arguments: &ManArguments) -> ExitCode {
    let folder = &arguments.folder;
    match write_into(folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("the man pages cannot be written to {}: {error}", folder.display()));
            ExitCode::FAILURE
        }
    }
}

fn write_into(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut parlor = super::Arguments::command().disable_help_subcommand(true);
    parlor.build();
    write_command(&parlor, folder)?;
    fs::write(folder.join("parlor.toml.5"), config::page())
}

/// A page for a command, and one for each of its own.
fn write_command(command: &Command, folder: &Path) -> io::Result<()> {
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        write_command(inner, folder)?;
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    fs::write(folder.join(format!("{name}.1")), pages::page(command)?)
}
