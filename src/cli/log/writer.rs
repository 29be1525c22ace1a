//! The queue before standard error. Whoever logs puts a line into it and goes on; a thread writes what waits, in batches. Lines that
//! find no room, or that cannot be written, are dropped and counted, and the count is told as soon as something can be written
//! again. Where the reader stalls, only that thread does.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::limits::LOG_WAITING_BYTES_MAX;

/// How soon a descriptor that somebody has made non-blocking is tried again when it is full.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// The queue. Clones are the same one. As a writer it takes whole lines and never fails.
#[derive(Clone)]
pub(super) struct LogQueue(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Whole lines.
    waiting: Vec<u8>,
    /// Lines that found no room behind those that wait.
    refused: u64,
    /// Whether no more lines are to be waited for.
    closing: bool,
    /// Whether the thread has ended.
    closed: bool,
}

impl LogQueue {
    /// Starts the thread. `dropped` makes the line that tells how many there are not.
    ///
    /// # Errors
    /// Where there is no thread to be had.
    pub(super) fn start(out: impl Write + Send + 'static, dropped: fn(u64) -> String) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let mut drain = Drain { shared: shared.clone(), out, dropped, lost: 0, torn: false };
        thread::Builder::new().name("log".into()).spawn(move || drain.run())?;
        Ok(Self(shared))
    }

    /// Has everything written that waits, and waits for that, but no longer than `patience`.
    pub(super) fn close(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut state = self.0.lock();
        state.closing = true;
        self.0.changed.notify_all();
        while !state.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.0.lock();
        let was_empty = state.waiting.is_empty();
        if state.waiting.len() + line.len() > LOG_WAITING_BYTES_MAX {
            state.refused += lines_in(line);
        } else {
            state.waiting.extend_from_slice(line);
        }
        drop(state);
        if was_empty {
            self.0.changed.notify_all();
        }
    }
}

impl Write for LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    /// Whoever panics here has changed nothing by halves.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines. Answers with them and how many found no room behind them; `None` at the end.
    fn take(&self) -> Option<(Vec<u8>, u64)> {
        let mut state = self.lock();
        loop {
            if !state.waiting.is_empty() || state.refused > 0 {
                return Some((std::mem::take(&mut state.waiting), std::mem::take(&mut state.refused)));
            }
            if state.closing {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// What the thread has.
struct Drain<W> {
    shared: Arc<Shared>,
    out: W,
    dropped: fn(u64) -> String,
    /// Lines that could not be written since the count was told last.
    lost: u64,
    /// Whether what was written last is a part of a line.
    torn: bool,
}

impl<W: Write> Drain<W> {
    fn run(&mut self) {
        while let Some((lines, refused)) = self.shared.take() {
            self.tell_lost();
            self.lost += if self.lost == 0 { self.write(&lines) } else { lines_in(&lines) };
            self.lost += refused;
            if refused > 0 {
                self.tell_lost();
            }
        }
        self.tell_lost();
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }

    /// Tells how many lines there are not, if that can be written.
    fn tell_lost(&mut self) {
        if self.lost > 0 && self.write((self.dropped)(self.lost).as_bytes()) == 0 {
            self.lost = 0;
        }
    }

    /// Writes whole lines, and answers how many of them are not there.
    fn write(&mut self, lines: &[u8]) -> u64 {
        if self.torn && self.write_all(b"\n").is_ok() {
            self.torn = false;
        }
        if self.torn {
            return lines_in(lines);
        }
        match self.write_all(lines) {
            Ok(()) => 0,
            Err(written) => {
                self.torn = written > 0 && lines[written - 1] != b'\n';
                lines_in(&lines[written..])
            }
        }
    }

    /// Writes all of it, or answers how many octets it has written.
    fn write_all(&mut self, octets: &[u8]) -> Result<(), usize> {
        let mut written = 0;
        while written < octets.len() {
            match self.out.write(&octets[written..]) {
                Ok(0) => return Err(written),
                Ok(n) => written += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(FULL_PAUSE),
                Err(_) => return Err(written),
            }
        }
        Ok(())
    }
}

fn lines_in(octets: &[u8]) -> u64 {
    octets.iter().filter(|octet| **octet == b'\n').count() as u64
}

#[cfg(test)]
mod tests;
