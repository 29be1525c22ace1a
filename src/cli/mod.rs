//! The command line: what an operator types.
//!
//! Exit codes: 0 done, 1 it ran and something was wrong, 2 usage or config.

#[cfg(feature = "bench")]
mod bench;
mod chat;
mod check;
mod completions;
mod log;
mod manual;
mod output;
mod random;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An MSRP chat-room server (RFC 7701): a SIP conference focus and an MSRP switch in one process.
#[derive(Debug, Parser)]
#[command(name = "parlor", version, arg_required_else_help = true, after_help = EXAMPLES, max_term_width = HELP_COLUMNS_MAX)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// Columns of a line of help.
const HELP_COLUMNS_MAX: usize = 100;

const EXAMPLES: &str = "\
Examples:
  parlor serve                                  a server on loopback, rooms made on demand
  parlor chat sip:lobby@127.0.0.1 --nick Alice  join a room of it from a terminal
  parlor check --config parlor.toml             what would keep a server from running well here";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::ServeArguments),
    /// Look at the config and the machine without starting
    Check(check::CheckArguments),
    /// Measure what a delivery costs
    #[cfg(feature = "bench")]
    Bench(parlor_bench::BenchArguments),
    /// Join a room from a terminal, or from a script
    Chat(chat::ChatArguments),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArguments),
    /// Write the man pages into a folder
    Man(manual::ManArguments),
}

/// Reads the arguments and does what they say. Usage errors, `--help` and `--version` end the process from in here, with
/// the exit codes above.
#[must_use]
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        #[cfg(feature = "bench")]
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Chat(arguments) => chat::run(&arguments),
        Command::Completions(arguments) => completions::print(&arguments),
        Command::Man(arguments) => manual::write(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_make_sense() {
        super::Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        for command in super::Arguments::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("parlor"), "{} has no example", command.get_name());
        }
    }

    #[test]
    fn what_stands_below_the_options_is_not_broken_again() {
        let parlor = super::Arguments::command();
        let scenarios = parlor.get_subcommands().flat_map(clap::Command::get_subcommands);
        for command in parlor.get_subcommands().chain(scenarios) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.lines() {
                let columns = line.chars().count();
                assert!(columns <= super::HELP_COLUMNS_MAX, "{}: {columns} columns: {line}", command.get_name());
            }
        }
    }
}
