//! The command line.
//!
//! Exit codes: 0 success, 1 failure, 2 usage or config error.

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

use clap::{CommandFactory, Parser, Subcommand};

/// An MSRP chat-room server (RFC 7701): a SIP conference focus and an MSRP switch in one process.
#[derive(Debug, Parser)]
#[command(name = "parlor", version, arg_required_else_help = true, after_help = EXAMPLES, max_term_width = HELP_COLUMNS_MAX)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// The longest line of a help text, in characters.
const HELP_COLUMNS_MAX: usize = 100;

const EXAMPLES: &str = "\
Examples:
  parlor serve                                  run a server on loopback
  parlor chat sip:lobby@127.0.0.1 --nick Alice  join a room from a terminal
  parlor check --config parlor.toml             check a config and this machine";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::ServeArguments),
    /// Check the config and the machine without starting the server
    Check(check::CheckArguments),
    /// Measure the cost of deliveries, calls and sessions
    #[cfg(feature = "bench")]
    Bench(parlor_bench::BenchArguments),
    /// Join a room from a terminal or a script
    Chat(chat::ChatArguments),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArguments),
    /// Write the manual pages to a folder
    Man(manual::ManArguments),
}

/// Parses the arguments and runs the command. Usage errors, `--help` and `--version` exit the process from here, with the exit codes
/// above.
#[must_use]
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        #[cfg(feature = "bench")]
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Chat(arguments) => chat::run(&arguments),
        Command::Completions(arguments) => completions::print(&arguments, Arguments::command()),
        Command::Man(arguments) => manual::write(&arguments, Arguments::command()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
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
    fn the_text_below_the_options_is_not_wrapped() {
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
