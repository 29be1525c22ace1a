//! Standard output, whose reader may have gone away.

use std::io::{ErrorKind, Write};

/// Writes a text. A reader that closes early, as `head` does, has what it wants. The answer is whether nothing else went wrong,
/// which is told.
pub(super) fn print(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("parlor: standard output cannot be written: {error}");
            false
        }
        _ => true,
    }
}

/// The same with the end of a line behind it.
pub(super) fn print_line(text: &str) -> bool {
    print(&format!("{text}\n"))
}
