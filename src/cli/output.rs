//! Standard output and standard error. `println!` panics if they are closed or full; these functions do not.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a write to standard output has failed.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Prints a text. Returns whether it was written; the first failure is reported on standard error.
pub fn print(text: &str) -> bool {
    let written = try_print(text);
    if let Err(error) = &written
        && !FAILED.swap(true, Ordering::Relaxed)
    {
        complain(format_args!("standard output cannot be written: {error}"));
    }
    written.is_ok()
}

/// Prints a text. A closed pipe, as behind `head`, is no error.
///
/// # Errors
/// Returns the error of the write.
pub fn try_print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Prints a line, as [`print()`].
pub fn print_line(text: &str) -> bool {
    print(&format!("{text}\n"))
}

/// Whether a write to standard output has failed.
pub fn has_failed() -> bool {
    FAILED.load(Ordering::Relaxed)
}

/// Prints an error on standard error, after `parlor: `. Failures are ignored.
pub fn complain(text: impl Display) {
    note(format_args!("parlor: {text}\n"));
}

/// Prints a text on standard error. Failures are ignored.
pub fn note(text: impl Display) {
    let _ = io::stderr().write_all(text.to_string().as_bytes());
}
