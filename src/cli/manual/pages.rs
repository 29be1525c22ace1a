//! The manual page of a command: its arguments, examples, exit status, signals, environment and files.

use std::io;

use clap::Command;
use clap_mangen::Man;
use roff::{Roff, bold, italic, roman};

/// The page in roff.
///
/// # Errors
/// Returns the error of the generator, which writes to memory.
pub fn page(command: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut page)?;
    }
    if command.get_subcommands().any(|inner| !inner.is_hide_set()) {
        man.render_subcommands_section(&mut page)?;
    }
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut more = Roff::new();
    examples(&mut more, &help);
    exit_status(&mut more, &help);
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    section(&mut more, "SIGNALS", SIGNALS, name);
    section(&mut more, "ENVIRONMENT", ENVIRONMENT, name);
    section(&mut more, "FILES", FILES, name);
    see_also(&mut more, name);
    page.extend(more.render().into_bytes());
    Ok(page)
}

/// Adds the text below the options of the help: examples verbatim, the rest as notes.
fn examples(roff: &mut Roff, help: &str) {
    let mut notes = Vec::new();
    for block in help.split("\n\n") {
        match block.split_once(":\n") {
            Some(("Example" | "Examples", lines)) => {
                roff.control("SH", ["EXAMPLES"]);
                // Without filling, because a wrapped command is another command.
                roff.control("nf", []);
                text(roff, lines);
                roff.control("fi", []);
            }
            _ if block.starts_with(EXIT_CODES) => {}
            _ => notes.push(block),
        }
    }
    if !notes.is_empty() {
        roff.control("SH", ["NOTES"]);
    }
    for block in notes.into_iter().filter(|block| !block.trim().is_empty()) {
        roff.control("PP", []);
        text(roff, block);
    }
}

fn text(roff: &mut Roff, lines: &str) {
    for line in lines.lines() {
        roff.text([roman(line)]);
    }
}

/// The beginning of the exit codes in a help text.
const EXIT_CODES: &str = "Exit codes: ";
/// The exit codes of a command whose help has none.
const USUAL_EXIT_CODES: &str = "Exit codes: 0 done, 1 it ran and something was wrong, 2 usage or config.";

fn exit_status(roff: &mut Roff, help: &str) {
    let own = help.split("\n\n").find(|block| block.starts_with(EXIT_CODES)).unwrap_or(USUAL_EXIT_CODES);
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in exit_codes(own) {
        roff.control("TP", []);
        roff.text([bold(code.to_string())]);
        roff.text([roman(meaning)]);
    }
}

/// Splits `Exit codes: 0 fine, 1 warnings, 2 errors.`
fn exit_codes(text: &str) -> Vec<(u8, String)> {
    let text = text.trim_start_matches(EXIT_CODES).trim_end_matches('.').replace('\n', " ");
    let (mut rest, mut codes) = (text.as_str(), Vec::new());
    for code in 0..=u8::MAX {
        let Some(after) = rest.strip_prefix(&format!("{code} ")) else { break };
        let end = after.find(&format!(", {} ", u16::from(code) + 1)).unwrap_or(after.len());
        codes.push((code, after[..end].to_owned()));
        rest = after[end..].strip_prefix(", ").unwrap_or_default();
    }
    codes
}

/// Entries of a section: the command, the term and its description.
type Entries = &'static [(&'static str, &'static str, &'static str)];

const SIGNALS: Entries = &[
    (
        "parlor-serve",
        "SIGTERM, SIGINT",
        "Drain: refuse new calls, end all calls, send queued messages, and exit, within sip.drain_timeout. A second signal exits at once.",
    ),
    (
        "parlor-serve",
        "SIGHUP",
        "Reload rooms, policies, users, the certificate and the log level. If the config is invalid, the old one stays in force; check it before with parlor check --config-only.",
    ),
    ("parlor-serve", "SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGPWR", "Ignored, with a log line."),
    (
        "parlor-bench",
        "SIGTERM, SIGINT",
        "Stop and report the measurements so far. A second signal exits at once. The servers of the bench exit with it.",
    ),
    ("parlor-chat", "SIGINT", "Leave the room, or cancel the call."),
];

const ENVIRONMENT: Entries = &[("parlor-chat", "PARLOR_PASSWORD", "The password for --user without --password-file.")];

const FILES: Entries = &[
    (
        "parlor-serve",
        "parlor.toml",
        "The file of --config: parlor.toml(5). There is no default file. Its keys sip.auth.users_file, tls.certificate, tls.private_key and tls.authorities name other files, relative to its folder.",
    ),
    ("parlor-check", "parlor.toml", "The file of --config: parlor.toml(5), and the files that it names."),
    ("parlor-check", "/proc, /proc/sys", "The limits of this process, kernel settings, and listening sockets."),
    ("parlor-chat", "FILE of --password-file", "The password is its first line."),
];

/// Adds a section with the entries of this command and of those above it.
fn section(roff: &mut Roff, title: &str, entries: Entries, name: &str) {
    let own: Vec<_> = entries.iter().filter(|(of, ..)| name == *of || name.starts_with(&format!("{of}-"))).collect();
    if own.is_empty() {
        return;
    }
    roff.control("SH", [title]);
    for (_, what, text) in own {
        roff.control("TP", []);
        roff.text([italic(*what)]);
        roff.text([roman(*text)]);
    }
}

fn see_also(roff: &mut Roff, name: &str) {
    roff.control("SH", ["SEE ALSO"]);
    let others = if name == "parlor" { "parlor.toml(5)" } else { "parlor(1), parlor.toml(5)" };
    roff.text([roman(others)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_split() {
        let codes = |text| exit_codes(text).into_iter().map(|(_, meaning)| meaning).collect::<Vec<_>>();
        assert_eq!(codes("Exit codes: 0 fine, 1 warnings, 2 errors."), ["fine", "warnings", "errors"]);
        assert_eq!(codes(USUAL_EXIT_CODES)[1], "it ran and something was wrong");
        let bench = codes("Exit codes: 0 done, 1 wrong (copies lost, nothing\nthat holds), 2 usage.");
        assert_eq!(bench, ["done", "wrong (copies lost, nothing that holds)", "usage"]);
        assert!(codes("no codes").is_empty());
    }
}
