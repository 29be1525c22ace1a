//! What a bench shows on a terminal while it runs.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::outcome::{Measured, Watch};

/// A line on a terminal that says what goes on.
pub struct Progress {
    shown: bool,
}

impl Progress {
    /// Shown where standard error is a terminal.
    #[must_use]
    pub fn new() -> Self {
        Self { shown: io::stderr().is_terminal() }
    }
}

impl Watch for Progress {
    fn stage(&mut self, what: &str) {
        if self.shown {
            eprint!("\r\x1b[K{what} …");
            let _ = io::stderr().flush();
        }
    }

    fn interval(&self) -> Option<Duration> {
        None
    }

    fn tick(&mut self, _subject: &str, _so_far: &Measured) {}
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}
