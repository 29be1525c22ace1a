//! A file on its way out, chunk by chunk.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::session::Session;

/// Octets of the file in one chunk.
const CHUNK_BYTES: usize = 64 * 1024;
/// Octets of the file that may be unanswered.
const UNANSWERED_BYTES_MAX: u64 = 8 * CHUNK_BYTES as u64;

/// A file being sent.
pub(super) struct Outgoing {
    file: File,
    /// What goes before the file: the CPIM and MIME headers. Taken with the first chunk.
    head: Vec<u8>,
    message_id: [u8; 16],
    /// Octets of the whole message, headers included.
    total: u64,
    sent: u64,
    answered: u64,
    progress: ProgressBar,
    /// For what is said about it.
    pub(super) name: String,
}

/// How a file is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is more to be sent or answered.
    Going,
    /// Every octet was taken.
    Done,
}

/// What MIME calls a file of this name.
pub(super) fn media_type(path: &Path) -> &'static str {
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

impl Outgoing {
    /// Opens a file that is to follow `head`.
    ///
    /// # Errors
    /// Where it cannot be read, or is none.
    pub(super) fn open(path: &Path, head: Vec<u8>, session: &mut Session, draws: bool) -> std::io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(std::io::Error::other("not a file"));
        }
        let total = head.len() as u64 + metadata.len();
        let target = if draws { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let progress = ProgressBar::with_draw_target(Some(total), target);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}") {
            progress.set_style(style);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        progress.set_message(name.clone());
        let message_id = session.draw_message_id();
        Ok(Self { file, head, message_id, total, sent: 0, answered: 0, progress, name })
    }

    /// Whether another chunk may be sent now.
    pub(super) fn wants_to_send(&self) -> bool {
        self.sent < self.total && self.sent - self.answered < UNANSWERED_BYTES_MAX
    }

    /// Sends the next chunk.
    ///
    /// # Errors
    /// Where the file cannot be read, or became shorter meanwhile.
    pub(super) fn send_chunk(&mut self, session: &mut Session, now: Instant) -> std::io::Result<()> {
        let mut chunk = std::mem::take(&mut self.head);
        let wanted = (self.total - self.sent - chunk.len() as u64).min(CHUNK_BYTES as u64);
        let before = chunk.len();
        (&mut self.file).take(wanted).read_to_end(&mut chunk)?;
        if ((chunk.len() - before) as u64) < wanted {
            return Err(std::io::Error::other("it became shorter while it was sent"));
        }
        session.file_chunk(&self.message_id, self.sent + 1, self.total, &chunk, now);
        self.sent += chunk.len() as u64;
        Ok(())
    }

    /// A chunk was taken.
    pub(super) fn answered(&mut self, octets: u64) -> Stage {
        self.answered += octets;
        self.progress.set_position(self.answered);
        if self.answered < self.total {
            return Stage::Going;
        }
        self.progress.finish_and_clear();
        Stage::Done
    }

    /// Gives it up.
    pub(super) fn abandon(&mut self, session: &mut Session, now: Instant) {
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
    fn a_file_goes_out_in_step_with_its_answers() {
        let mut session =
            Session::new("msrp://a:1/a;tcp".into(), "msrp://b:2/b;tcp".into(), ChaCha12Rng::from_seed([1; 32]));
        let mut named = tempfile::NamedTempFile::new().unwrap();
        named.write_all(&vec![b'x'; 10 * CHUNK_BYTES + 5]).unwrap();
        let now = Instant::now();
        let mut file = Outgoing::open(named.path(), b"head".to_vec(), &mut session, false).unwrap();
        let mut chunks = Vec::new();
        while file.wants_to_send() {
            let before = file.sent;
            file.send_chunk(&mut session, now).unwrap();
            chunks.push(file.sent - before);
        }
        assert_eq!(chunks.len(), 8);
        assert_eq!(file.answered(chunks[0]), Stage::Going);
        assert!(file.wants_to_send());
        let mut left = chunks[1..].to_vec();
        while file.sent < file.total {
            let before = file.sent;
            file.send_chunk(&mut session, now).unwrap();
            left.push(file.sent - before);
        }
        let last = left.pop().unwrap();
        assert!(left.into_iter().all(|octets| file.answered(octets) == Stage::Going));
        assert_eq!((last, file.answered(last)), (5, Stage::Done));
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let mut session = Session::new(String::new(), String::new(), ChaCha12Rng::from_seed([1; 32]));
        let folder = tempfile::tempdir().unwrap();
        assert!(Outgoing::open(folder.path(), Vec::new(), &mut session, false).is_err());
        assert!(Outgoing::open(&folder.path().join("none"), Vec::new(), &mut session, false).is_err());
    }

    #[test]
    fn names_tell_types() {
        assert_eq!(media_type(Path::new("a/B.PNG")), "image/png");
        assert_eq!(media_type(Path::new("b")), "application/octet-stream");
    }
}
