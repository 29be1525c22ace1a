//! Polls that a signal may end.

use std::io;

/// Takes a poll that a signal has ended as one that has found nothing.
///
/// # Errors
/// Returns every other error.
pub fn ignore_interrupted(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}
