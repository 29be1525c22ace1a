//! What is wrong with a config, and where.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::string::FromUtf8Error;

use miette::{GraphicalReportHandler, LabeledSpan, NamedSource, SourceCode};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: String,
    /// Where it stands, in octets of the file. `None`: the file itself could not be read.
    pub(super) span: Option<Range<usize>>,
}

/// Everything that is wrong with one config. Its text form is one line for each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    name: String,
    text: String,
    /// The errors, in the order of the file.
    pub errors: Vec<ConfigError>,
}

impl ConfigErrors {
    pub(super) fn new(name: &str, text: &str, mut errors: Vec<ConfigError>) -> Self {
        let text = masked(text);
        errors.sort_by_key(|error| error.span.as_ref().map(|span| span.start));
        Self { name: name.into(), text, errors }
    }

    /// Errors of a file that has nothing but secrets in it.
    pub(super) fn of_users(name: &str, text: &str, errors: Vec<ConfigError>) -> Self {
        Self { text: text.lines().map(masked_line).collect::<Vec<_>>().join("\n"), ..Self::new(name, "", errors) }
    }

    /// The users file cannot be read, whose name stands at `span` in the config.
    pub(super) fn users_unreadable(
        (name, text): (&str, &str),
        users: &Path,
        error: &std::io::Error,
        span: Option<Range<usize>>,
    ) -> Self {
        let message = format!("the users file {} cannot be read: {error}", users.display());
        let help = "the path of a TOML file, from the folder of the config".into();
        Self::new(name, text, vec![ConfigError { message, help, span }])
    }

    /// A config that is no text.
    pub(super) fn not_utf8(name: &str, error: &FromUtf8Error) -> Self {
        let at = error.utf8_error().valid_up_to();
        // What cannot be read is shown as one character that stands for it.
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let span = Some(at..at + char::REPLACEMENT_CHARACTER.len_utf8());
        let (message, help) = ("not UTF-8".into(), "a config is text in UTF-8".into());
        Self::new(name, &text, vec![ConfigError { message, help, span }])
    }

    pub(super) fn unreadable(name: &str, error: &std::io::Error) -> Self {
        let message = format!("the config file {name} cannot be read: {error}");
        let help = "give the path of a file with --config, or none for the defaults".into();
        Self::new(name, "", vec![ConfigError { message, help, span: None }])
    }

    /// Line and column of an error, both from 1; a column is a character. `None` where the file could not be read.
    #[must_use]
    pub fn place(&self, error: &ConfigError) -> Option<(usize, usize)> {
        let before = self.text.get(..error.span.as_ref()?.start)?;
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Some((before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
    }

    /// The text that an error is about.
    #[must_use]
    pub fn offending(&self, error: &ConfigError) -> &str {
        error.span.clone().and_then(|span| self.text.get(span)).unwrap_or_default()
    }

    /// The name of the config that the errors are about.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For eyes: each error with the lines it stands in.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        for error in &self.errors {
            let shown = Shown { error, source: NamedSource::new(&self.name, self.text.clone()) };
            // Writing to a String does not fail; an error that cannot be drawn is still told in words.
            if GraphicalReportHandler::new().render_report(&mut out, &shown).is_err() {
                out.push_str(&self.line(error));
            }
        }
        out
    }

    /// One error on one line.
    #[must_use]
    pub fn line(&self, error: &ConfigError) -> String {
        match self.place(error) {
            Some((line, column)) => {
                let offending = self.offending(error).lines().next().unwrap_or_default();
                format!("{}:{line}:{column}: {}: `{offending}`; {}", self.name, error.message, error.help)
            }
            None => format!("{}; {}", error.message, error.help),
        }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.errors.iter().map(|error| self.line(error)).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// The text of a config without the passwords in it, each octet where it was: what is shown of it may get into a log.
fn masked(text: &str) -> String {
    let mut in_auth = false;
    let mut masked = Vec::new();
    for line in text.split('\n') {
        let bare: String = line.chars().filter(|c| !c.is_whitespace() && !matches!(c, '"' | '\'')).collect();
        if line.trim_start().starts_with('[') {
            in_auth = bare.starts_with("[sip.auth");
        }
        let open = ["realm=", "users_file="].iter().any(|key| bare.starts_with(key));
        let elsewhere = bare.contains("auth") && bare.contains("users");
        masked.push(if (in_auth && !open) || (elsewhere && !in_auth) { masked_line(line) } else { line.to_owned() });
    }
    masked.join("\n")
}

/// A line without what stands behind its first equals sign; without one it may be all password.
fn masked_line(line: &str) -> String {
    let trimmed = line.trim_start();
    if trimmed.starts_with(['[', '#']) {
        return line.to_owned();
    }
    let shown = line.find('=').map_or(0, |at| at + 1);
    let hidden = line[shown..].chars().map(|c| match c.len_utf8() {
        _ if c.is_whitespace() => c,
        1 => '*',
        2 => '\u{b7}',
        3 => '\u{2022}',
        _ => '\u{1f784}',
    });
    line[..shown].chars().chain(hidden).collect()
}

/// One error together with the file, as miette draws it.
#[derive(Debug)]
struct Shown<'a> {
    error: &'a ConfigError,
    source: NamedSource<String>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.error.help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.error.span.as_ref().map(|_| &self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.error.span.clone()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(Some("here".into()), span))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown_and_nothing_moves() {
        let text = "[sip]\nlisten = [\"x\"]\n[sip.auth]\nrealm = \"r\"\nusers.al = \"s3cret\"\n[ sip . auth . users ]\n\
                    bob = \"s3cr\u{e9}t\u{1f600}\"\ncarol = { ha1_md5 = \"s3cret\" }\ns3cret\n[rooms]\non_demand = true\n\
                    sip.auth.users.dan = \"s3cret\"\n";
        let shown = masked(text);
        assert!(!shown.contains("s3cr"), "{shown}");
        assert_eq!(shown.len(), text.len());
        for kept in ["listen = [\"x\"]", "realm = \"r\"", "\nbob = ", "on_demand = true"] {
            assert_eq!(shown.find(kept), text.find(kept), "{kept}");
        }
        assert_eq!(masked_line("[users]"), "[users]");
    }
}
