//! Standard output and standard error, whose readers may have gone away, and which may be full. `println!` would panic there.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether standard output could not be written.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Writes a text. The answer is whether that went well; where it did not, that is told once.
pub(super) fn print(text: &str) -> bool {
    let written = try_print(text);
    if let Err(error) = &written
        && !FAILED.swap(true, Ordering::Relaxed)
    {
        complain(format_args!("standard output cannot be written: {error}"));
    }
    written.is_ok()
}

/// Writes a text. A reader that closes early, as `head` does, has what it wants, which is no error.
///
/// # Errors
/// As the system.
pub(super) fn try_print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// The same with the end of a line behind it.
pub(super) fn print_line(text: &str) -> bool {
    print(&format!("{text}\n"))
}

/// Whether something that was printed is not there, which was told.
pub(super) fn has_failed() -> bool {
    FAILED.load(Ordering::Relaxed)
}

/// Says on standard error what went wrong, if that can be written.
pub(super) fn complain(text: impl Display) {
    note(format_args!("parlor: {text}\n"));
}

/// Writes a text to standard error, if that can be written; where it cannot, nobody could be told.
pub(super) fn note(text: impl Display) {
    let _ = io::stderr().write_all(text.to_string().as_bytes());
}
