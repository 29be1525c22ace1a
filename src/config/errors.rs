//! The errors of a config, with their positions.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::string::FromUtf8Error;

use miette::{GraphicalReportHandler, LabeledSpan, NamedSource, SourceCode};

/// One error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// The error, as `invalid value for `key``.
    pub message: String,
    /// What is expected.
    pub help: String,
    /// The position, in octets of the file; `None` if the file cannot be read.
    pub span: Option<Range<usize>>,
}

/// All errors of one file. `Display` is one line for each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    name: String,
    text: String,
    /// The errors, in the order of the file.
    pub errors: Vec<ConfigError>,
}

impl ConfigErrors {
    /// Errors in a config file.
    pub fn new(name: &str, text: &str, mut errors: Vec<ConfigError>) -> Self {
        let text = masked(text);
        errors.sort_by_key(|error| error.span.as_ref().map(|span| span.start));
        Self { name: name.into(), text, errors }
    }

    /// Errors in a users file, of which every value is secret.
    pub fn of_users_file(name: &str, text: &str, errors: Vec<ConfigError>) -> Self {
        Self { text: text.lines().map(masked_line).collect::<Vec<_>>().join("\n"), ..Self::new(name, "", errors) }
    }

    /// The users file, named at `span` in the config, cannot be read.
    pub fn users_file_unreadable(
        (name, text): (&str, &str),
        users: &Path,
        error: &std::io::Error,
        span: Option<Range<usize>>,
    ) -> Self {
        let message = format!("the users file {} cannot be read: {error}", users.display());
        let help = "expected the path of a TOML file, relative to the folder of the config".into();
        Self::new(name, text, vec![ConfigError { message, help, span }])
    }

    /// The config file is not UTF-8.
    pub fn not_utf8(name: &str, error: &FromUtf8Error) -> Self {
        let at = error.utf8_error().valid_up_to();
        // Invalid octets are shown as a replacement character.
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let span = Some(at..at + char::REPLACEMENT_CHARACTER.len_utf8());
        let (message, help) = ("not UTF-8".into(), "expected text in UTF-8".into());
        Self::new(name, &text, vec![ConfigError { message, help, span }])
    }

    /// The config file cannot be read.
    pub fn unreadable(name: &str, error: &std::io::Error) -> Self {
        let message = format!("the config file {name} cannot be read: {error}");
        let help = "give the path of a file with --config, or leave it out for the defaults".into();
        Self::new(name, "", vec![ConfigError { message, help, span: None }])
    }

    /// The line and the column of an error, from 1, the column in characters. `None` if the file cannot be read.
    #[must_use]
    pub fn place(&self, error: &ConfigError) -> Option<(usize, usize)> {
        let before = self.text.get(..error.span.as_ref()?.start)?;
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Some((before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
    }

    /// The text at the position of an error.
    #[must_use]
    pub fn offending(&self, error: &ConfigError) -> &str {
        error.span.clone().and_then(|span| self.text.get(span)).unwrap_or_default()
    }

    /// The name of the file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Each error with its lines of the file, for a terminal.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        for error in &self.errors {
            let report = Report { error, source: NamedSource::new(&self.name, self.text.clone()) };
            // Writing to a String does not fail; an error that cannot be rendered is shown on a line.
            if GraphicalReportHandler::new().render_report(&mut out, &report).is_err() {
                out.push_str(&self.line(error));
            }
        }
        out
    }

    /// An error on one line: `name:line:column: message: `text`; help`.
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

/// The text of a config with its passwords masked and every octet at its position. Parts of it are logged.
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

/// A line with everything after its first equals sign masked; without one, everything.
fn masked_line(line: &str) -> String {
    let trimmed = line.trim_start();
    if trimmed.starts_with(['[', '#']) {
        return line.to_owned();
    }
    let visible = line.find('=').map_or(0, |at| at + 1);
    let hidden = line[visible..].chars().map(|c| match c.len_utf8() {
        _ if c.is_whitespace() => c,
        1 => '*',
        2 => '\u{b7}',
        3 => '\u{2022}',
        _ => '\u{1f784}',
    });
    line[..visible].chars().chain(hidden).collect()
}

/// An error with the file, as miette renders it.
#[derive(Debug)]
struct Report<'a> {
    error: &'a ConfigError,
    source: NamedSource<String>,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error.message)
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
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
    fn passwords_are_masked_in_place() {
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
