//! `parlor check`: what would keep a server from running well here, without starting one.

mod auth;
mod certificate;
mod machine;
mod ports;
mod reach;
mod running;
mod tuning;

pub(super) use certificate::not_in_force;
pub(super) use machine::allowed_cores;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::output::{complain, note, print, print_line};
use crate::config::{Config, ConfigErrors};

/// Arguments of `check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  parlor check                          the defaults on this machine
  parlor check --config parlor.toml     a config, and what it needs of this machine
  parlor check --config-only --errors-only --config parlor.toml && systemctl reload parlor
  parlor check --json | jq .verdict     for scripts

Beside the server of the same config, which runs already, its ports are not in the way.

Exit codes: 0 fine, 1 warnings, 2 errors.")]
pub(super) struct CheckArguments {
    /// The config file; without it the defaults are checked
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read the config alone, and do not look at the machine: its limits, ports, names and certificates
    #[arg(long)]
    config_only: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Show errors only, and let warnings pass: exit with 0 or 2
    #[arg(long)]
    errors_only: bool,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// The server runs, but not well.
    Warning,
    /// The server does not start, or serves nobody.
    Error,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    level: Level,
    /// What was looked at.
    subject: String,
    /// How it is.
    found: String,
    /// What to do about it; empty where nothing is to be done.
    advice: String,
}

impl Finding {
    fn ok(subject: &str, found: impl Into<String>) -> Self {
        Self { level: Level::Ok, subject: subject.into(), found: found.into(), advice: String::new() }
    }

    fn warning(subject: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Warning, subject: subject.into(), found: found.into(), advice: advice.into() }
    }

    fn error(subject: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Error, subject: subject.into(), found: found.into(), advice: advice.into() }
    }

    /// The finding on one line: what is wrong, and what to do.
    pub(super) fn line(&self) -> String {
        match self.advice.as_str() {
            "" => format!("{}: {}", self.subject, self.found),
            advice => format!("{}: {}; {advice}", self.subject, self.found),
        }
    }
}

/// A config error, as JSON shows it.
#[derive(Debug, Serialize)]
struct Place<'a> {
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
    config_errors: Vec<Place<'a>>,
    findings: &'a [Finding],
}

/// Looks, tells, and answers with the exit code. A report that cannot be written is an error.
pub(super) fn run(arguments: &CheckArguments) -> ExitCode {
    let config = arguments.config.as_deref().map_or_else(|| Ok(Config::default()), Config::load);
    let path = arguments.config.as_deref();
    let look = if arguments.config_only { look_at_config } else { look };
    let mut findings = config.as_ref().map(|config| look(config, path)).unwrap_or_default();
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

/// Everything that is to be said about this machine and a server of this config.
fn look(config: &Config, path: Option<&Path>) -> Vec<Finding> {
    let mut findings = machine::look(config);
    findings.extend(ports::look(config, running::Running::serving(path)));
    findings.extend(auth::look(config, path));
    findings.extend(reach::look(config));
    findings.extend(certificate::look(config));
    findings.extend(tuning::look());
    findings
}

/// What a config says by itself, wherever it is read.
fn look_at_config(config: &Config, path: Option<&Path>) -> Vec<Finding> {
    let name = path.map_or_else(|| "the defaults".to_owned(), |path| path.display().to_string());
    let mut findings = vec![Finding::ok("config", format!("{name}: nothing is wrong with its keys and values"))];
    findings.extend(ports::named_twice(config));
    findings.extend(reach::exposure(config));
    findings
}

/// What keeps a server of this config from starting here, ports excepted: those are found out by taking them.
pub(super) fn obstacles(config: &Config) -> Vec<Finding> {
    machine::look(config).into_iter().filter(|finding| finding.level == Level::Error).collect()
}

fn print_json(verdict: Level, errors: Option<&ConfigErrors>, findings: &[Finding]) -> bool {
    let config_errors = errors.map(places).unwrap_or_default();
    let report = Report { verdict, config_errors, findings };
    match serde_json::to_string_pretty(&report) {
        Ok(text) => print_line(&text),
        Err(error) => {
            complain(format_args!("the report cannot be written: {error}"));
            false
        }
    }
}

fn places(errors: &ConfigErrors) -> Vec<Place<'_>> {
    let place = |error| {
        let (line, column) = errors.place(error).unzip();
        let offending = errors.offending(error);
        Place { file: errors.name(), line, column, offending, message: &error.message, help: &error.help }
    };
    errors.errors.iter().map(place).collect()
}

fn print_text(errors: Option<&ConfigErrors>, findings: &[Finding]) -> bool {
    if let Some(errors) = errors {
        note(errors.render());
        complain("the config has errors, so the machine was not looked at");
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
