//! One result of `parlor check`.

use serde::Serialize;

/// How severe a finding is. The number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing to do.
    Ok,
    /// The server runs, but not well.
    Warning,
    /// The server does not start, or no client can use it.
    Error,
}

/// What was found about one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How severe it is.
    pub level: Level,
    /// The setting or the resource.
    pub subject: String,
    /// Its state.
    pub found: String,
    /// What to do; empty if there is nothing to do.
    pub advice: String,
}

impl Finding {
    /// A finding that needs nothing.
    pub fn ok(subject: &str, found: impl Into<String>) -> Self {
        Self { level: Level::Ok, subject: subject.into(), found: found.into(), advice: String::new() }
    }

    /// A warning.
    pub fn warning(subject: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Warning, subject: subject.into(), found: found.into(), advice: advice.into() }
    }

    /// An error.
    pub fn error(subject: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Error, subject: subject.into(), found: found.into(), advice: advice.into() }
    }

    /// `subject: found; advice`.
    pub fn line(&self) -> String {
        match self.advice.as_str() {
            "" => format!("{}: {}", self.subject, self.found),
            advice => format!("{}: {}; {advice}", self.subject, self.found),
        }
    }
}
