//! `parlor check`: finds what prevents the server from running well on this machine, without starting it.

mod auth;
mod certificate;
mod finding;
mod machine;
mod ports;
mod reach;
mod running;
mod tuning;

pub use certificate::validity_error;
pub use finding::Finding;
pub use machine::allowed_cores;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use finding::Level;
use serde::Serialize;

use super::output::{complain, note, print, print_line};
use crate::config::{Config, ConfigErrors};

/// Arguments of `check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  parlor check                          the default config on this machine
  parlor check --config parlor.toml     a config on this machine
  parlor check --config-only --errors-only --config parlor.toml && systemctl reload parlor
  parlor check --json | jq .verdict     for scripts

Ports in use by a running server of the same config are no error.

Exit codes: 0 fine, 1 warnings, 2 errors.")]
pub struct CheckArguments {
    /// The config file. Without it, every key has its default
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the config only, not the limits, ports, names and certificates of this machine
    #[arg(long)]
    config_only: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Show errors only, and exit with 0 or 2
    #[arg(long)]
    errors_only: bool,
}

/// A config error in the JSON report.
#[derive(Debug, Serialize)]
struct ConfigErrorReport<'a> {
    file: &'a str,
    line: Option<usize>,
    column: Option<usize>,
    offending: &'a str,
    message: &'a str,
    help: &'a str,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    verdict: Level,
    config_errors: Vec<ConfigErrorReport<'a>>,
    findings: &'a [Finding],
}

/// Prints the report and returns the exit code. A report that cannot be written is an error.
pub fn run(arguments: &CheckArguments) -> ExitCode {
    let config = arguments.config.as_deref().map_or_else(|| Ok(Config::default()), Config::load);
    let path = arguments.config.as_deref();
    let check = if arguments.config_only { check_config } else { check_all };
    let mut findings = config.as_ref().map(|config| check(config, path)).unwrap_or_default();
    if arguments.errors_only {
        findings.retain(|finding| finding.level == Level::Error);
    }
    let worst = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
    let verdict = if config.is_err() { Level::Error } else { worst };
    let shown = if arguments.json {
        print_json(verdict, config.as_ref().err(), &findings)
    } else {
        print_text(config.as_ref().err(), &findings)
    };
    ExitCode::from(if shown { verdict as u8 } else { Level::Error as u8 })
}

/// All findings about a config on this machine.
fn check_all(config: &Config, path: Option<&Path>) -> Vec<Finding> {
    let mut findings = machine::check(config);
    findings.extend(ports::check(config, running::RunningServers::of_config(path)));
    findings.extend(auth::check(config, path));
    findings.extend(reach::check(config));
    findings.extend(certificate::check(config));
    findings.extend(tuning::check());
    findings
}

/// The findings that do not depend on the machine.
fn check_config(config: &Config, path: Option<&Path>) -> Vec<Finding> {
    let name = path.map_or_else(|| "the defaults".to_owned(), |path| path.display().to_string());
    let mut findings = vec![Finding::ok("config", format!("{name}: nothing is wrong with its keys and values"))];
    findings.extend(ports::duplicates(config));
    findings.extend(reach::exposure(config));
    findings
}

/// The errors that prevent the server from starting, except ports in use, which binding reports.
pub fn startup_errors(config: &Config) -> Vec<Finding> {
    machine::check(config).into_iter().filter(|finding| finding.level == Level::Error).collect()
}

fn print_json(verdict: Level, errors: Option<&ConfigErrors>, findings: &[Finding]) -> bool {
    let config_errors = errors.map(config_error_reports).unwrap_or_default();
    let report = Report { verdict, config_errors, findings };
    match serde_json::to_string_pretty(&report) {
        Ok(text) => print_line(&text),
        Err(error) => {
            complain(format_args!("the report cannot be written: {error}"));
            false
        }
    }
}

fn config_error_reports(errors: &ConfigErrors) -> Vec<ConfigErrorReport<'_>> {
    let report = |error| {
        let (line, column) = errors.place(error).unzip();
        let offending = errors.offending(error);
        ConfigErrorReport { file: errors.name(), line, column, offending, message: &error.message, help: &error.help }
    };
    errors.errors.iter().map(report).collect()
}

fn print_text(errors: Option<&ConfigErrors>, findings: &[Finding]) -> bool {
    if let Some(errors) = errors {
        note(errors.render());
        complain("the config has errors; the machine was not checked");
    }
    let line = |finding: &Finding| {
        let level = match finding.level {
            Level::Ok => "ok     ",
            Level::Warning => "warning",
            Level::Error => "error  ",
        };
        format!("{level}  {}\n", finding.line())
    };
    print(&findings.iter().map(line).collect::<String>())
}
