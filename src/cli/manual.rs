//! `parlor man`: a manual page for each command, and parlor.toml(5).
//!
//! The pages are generated from the arguments and from the config reference.

mod config;
mod pages;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command};

use super::output::complain;

/// Arguments of `man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  parlor man man && cp man/*.1 /usr/local/share/man/man1 && cp man/*.5 /usr/local/share/man/man5")]
pub struct ManArguments {
    /// The folder for the pages; created if it does not exist
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Writes the pages of `parlor` and its commands.
pub fn write(arguments: &ManArguments, parlor: Command) -> ExitCode {
    let folder = &arguments.folder;
    match write_pages(folder, parlor) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("the man pages cannot be written to {}: {error}", folder.display()));
            ExitCode::FAILURE
        }
    }
}

fn write_pages(folder: &Path, parlor: Command) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut parlor = parlor.disable_help_subcommand(true);
    parlor.build();
    write_command(&parlor, folder)?;
    fs::write(folder.join("parlor.toml.5"), config::page())
}

/// Writes the page of a command and those of its subcommands.
fn write_command(command: &Command, folder: &Path) -> io::Result<()> {
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        write_command(inner, folder)?;
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    fs::write(folder.join(format!("{name}.1")), pages::page(command)?)
}
