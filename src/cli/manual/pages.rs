//! The page of a command: what clap knows of it, its examples as they were written, and what it has to do with the system.

use std::io;

use clap::Command;
use clap_mangen::Man;
use roff::{Roff, bold, italic, roman};

/// The page of a command.
///
/// # Errors
/// None: it is written into memory.
pub(super) fn page(command: &Command) -> io::Result<Vec<u8>> {
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
    system(&mut more, "SIGNALS", SIGNALS, name);
    system(&mut more, "ENVIRONMENT", ENVIRONMENT, name);
    system(&mut more, "FILES", FILES, name);
    see_also(&mut more, name);
    page.extend(more.render().into_bytes());
    Ok(page)
}

/// What stands below the options in the help: examples line by line, and the rest as text.
fn examples(roff: &mut Roff, help: &str) {
    let mut notes = Vec::new();
    for block in help.split("\n\n") {
        match block.split_once(":\n") {
            Some(("Example" | "Examples", lines)) => {
                roff.control("SH", ["EXAMPLES"]);
                // As it was written: a command that is broken again is another command.
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

/// How help begins what it says of exit codes.
const EXIT_CODES: &str = "Exit codes: ";
/// What holds for a command whose help says nothing else.
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

/// `Exit codes: 0 fine, 1 warnings, 2 errors.` one by one.
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

/// What a command has to do with the system: its name, what is meant, and in words.
type Facts = &'static [(&'static str, &'static str, &'static str)];

const SIGNALS: Facts = &[
    (
        "parlor-serve",
        "SIGTERM, SIGINT",
        "Drain: nobody joins any more, calls are ended, what waits is sent, within sip.drain_timeout. A second one ends the server at once.",
    ),
    (
        "parlor-serve",
        "SIGHUP",
        "Read rooms, policies, users, the certificate and the level of the log again. Where the config is wrong, what was in force stays so; parlor check --config-only says so before.",
    ),
    (
        "parlor-serve",
        "SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGPWR",
        "A line of the log, nothing else.",
    ),
    (
        "parlor-bench",
        "SIGTERM, SIGINT",
        "End early, and report what was measured until then. A second one ends the bench at once. Its servers end with it.",
    ),
    ("parlor-chat", "SIGINT", "Leave the room, or give up the call."),
];

const ENVIRONMENT: Facts =
    &[("parlor-chat", "PARLOR_PASSWORD", "The password of the user of --user, where there is no --password-file.")];

const FILES: Facts = &[
    (
        "parlor-serve",
        "parlor.toml",
        "The config that --config names: parlor.toml(5). None is read where it is not named. In it sip.auth.users_file, tls.certificate, tls.private_key and tls.authorities name other files, from its own folder.",
    ),
    ("parlor-check", "parlor.toml", "The config that --config names: parlor.toml(5), and the files that it names."),
    (
        "parlor-check",
        "/proc, /proc/sys",
        "The limits of this process, settings of the kernel, and who listens on which port.",
    ),
    ("parlor-chat", "FILE of --password-file", "The password on its first line."),
];

/// A section of those facts that are of this command, or of one above it.
fn system(roff: &mut Roff, title: &str, facts: Facts, name: &str) {
    let own: Vec<_> = facts.iter().filter(|(of, ..)| name == *of || name.starts_with(&format!("{of}-"))).collect();
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
    fn exit_codes_are_told_one_by_one() {
        let codes = |text| exit_codes(text).into_iter().map(|(_, meaning)| meaning).collect::<Vec<_>>();
        assert_eq!(codes("Exit codes: 0 fine, 1 warnings, 2 errors."), ["fine", "warnings", "errors"]);
        assert_eq!(codes(USUAL_EXIT_CODES)[1], "it ran and something was wrong");
        let bench = codes("Exit codes: 0 done, 1 wrong (copies lost, nothing\nthat holds), 2 usage.");
        assert_eq!(bench, ["done", "wrong (copies lost, nothing that holds)", "usage"]);
        assert!(codes("no codes").is_empty());
    }
}
