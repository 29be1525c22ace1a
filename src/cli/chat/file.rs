//! Sending a file in chunks.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::session::Session;

/// Octets of the file in one chunk.
const CHUNK_BYTES: usize = 64 * 1024;
/// Octets of the file that are sent before they are answered.
const UNANSWERED_BYTES_MAX: u64 = 8 * CHUNK_BYTES as u64;

/// A file being sent.
pub struct OutgoingFile {
    file: File,
    /// The CPIM and MIME headers before the content. Sent with the first chunk.
    head: Vec<u8>,
    message_id: [u8; 16],
    /// Octets of the message, headers included.
    total: u64,
    sent: u64,
    answered: u64,
    progress: ProgressBar,
    /// Its name, for messages about it.
    pub name: String,
}

/// How far a file is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Chunks are still to be sent or answered.
    Sending,
    /// Every chunk is answered.
    Done,
}

/// The media type for the extension of a file.
pub fn media_type(path: &Path) -> &'static str {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    match extension.as_str() {
        "txt" | "log" | "md" => "text/plain;charset=utf-8",
        "html" | "htm" => "text/html;charset=utf-8",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "pdf" => "application/pdf",
        _ => "application/octet-stream",
    }
}

impl OutgoingFile {
    /// Opens a file to be sent after the headers in `head`.
    ///
    /// # Errors
    /// Returns an error if it cannot be opened or is not a regular file.
    pub fn open(path: &Path, head: Vec<u8>, session: &mut Session, show_progress: bool) -> std::io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(std::io::Error::other("not a file"));
        }
        let total = head.len() as u64 + metadata.len();
        let target = if show_progress { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let progress = ProgressBar::with_draw_target(Some(total), target);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}") {
            progress.set_style(style);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        progress.set_message(name.clone());
        let message_id = session.draw_message_id();
        Ok(Self { file, head, message_id, total, sent: 0, answered: 0, progress, name })
    }

    /// Whether a chunk may be sent now.
    pub fn can_send(&self) -> bool {
        self.sent < self.total && self.sent - self.answered < UNANSWERED_BYTES_MAX
    }

    /// Sends the next chunk.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or was truncated.
    pub fn send_chunk(&mut self, session: &mut Session, now: Instant) -> std::io::Result<()> {
        let mut chunk = std::mem::take(&mut self.head);
        let wanted = (self.total - self.sent - chunk.len() as u64).min(CHUNK_BYTES as u64);
        let before = chunk.len();
        (&mut self.file).take(wanted).read_to_end(&mut chunk)?;
        if ((chunk.len() - before) as u64) < wanted {
            return Err(std::io::Error::other("the file was truncated while it was sent"));
        }
        session.file_chunk(&self.message_id, self.sent + 1, self.total, &chunk, now);
        self.sent += chunk.len() as u64;
        Ok(())
    }

    /// Records that a chunk of so many octets was answered.
    pub fn answered(&mut self, octets: u64) -> Progress {
        self.answered += octets;
        self.progress.set_position(self.answered);
        if self.answered < self.total {
            return Progress::Sending;
        }
        self.progress.finish_and_clear();
        Progress::Done
    }

    /// Stops sending, with the `#` flag if a part was sent (RFC 4975 §7.1.1).
    pub fn abort(&mut self, session: &mut Session, now: Instant) {
        if self.sent > 0 && self.sent < self.total {
            session.abort_file(&self.message_id, self.sent + 1, self.total, now);
        }
        self.progress.abandon();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rand_chacha::ChaCha12Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn chunks_are_sent_as_others_are_answered() {
        let mut session =
            Session::new("msrp://a:1/a;tcp".into(), "msrp://b:2/b;tcp".into(), ChaCha12Rng::from_seed([1; 32]));
        let mut named = tempfile::NamedTempFile::new().unwrap();
        named.write_all(&vec![b'x'; 10 * CHUNK_BYTES + 5]).unwrap();
        let now = Instant::now();
        let mut file = OutgoingFile::open(named.path(), b"head".to_vec(), &mut session, false).unwrap();
        let mut chunks = Vec::new();
        while file.can_send() {
            let before = file.sent;
            file.send_chunk(&mut session, now).unwrap();
            chunks.push(file.sent - before);
        }
        assert_eq!(chunks.len(), 8);
        assert_eq!(file.answered(chunks[0]), Progress::Sending);
        assert!(file.can_send());
        let mut left = chunks[1..].to_vec();
        while file.sent < file.total {
            let before = file.sent;
            file.send_chunk(&mut session, now).unwrap();
            left.push(file.sent - before);
        }
        let last = left.pop().unwrap();
        assert!(left.into_iter().all(|octets| file.answered(octets) == Progress::Sending));
        assert_eq!((last, file.answered(last)), (5, Progress::Done));
    }

    #[test]
    fn only_regular_files_are_sent() {
        let mut session = Session::new(String::new(), String::new(), ChaCha12Rng::from_seed([1; 32]));
        let folder = tempfile::tempdir().unwrap();
        assert!(OutgoingFile::open(folder.path(), Vec::new(), &mut session, false).is_err());
        assert!(OutgoingFile::open(&folder.path().join("none"), Vec::new(), &mut session, false).is_err());
    }

    #[test]
    fn media_types_follow_extensions() {
        assert_eq!(media_type(Path::new("a/B.PNG")), "image/png");
        assert_eq!(media_type(Path::new("b")), "application/octet-stream");
    }
}
