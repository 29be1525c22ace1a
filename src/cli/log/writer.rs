//! The queue between loggers and standard error. A logger appends a line and returns; a thread writes the queue in batches. Lines are
//! dropped and counted if the queue is full or the write fails, and the count is reported once a write succeeds. If the reader
//! stalls, only the thread blocks.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::limits::LOG_WAITING_BYTES_MAX;

/// The retry interval for a descriptor that was made non-blocking and is full.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// The queue. Clones share it. As a writer it accepts whole lines and never fails.
#[derive(Clone)]
pub struct LogQueue(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Whole lines.
    waiting: Vec<u8>,
    /// Lines dropped because the queue was full.
    refused: u64,
    /// The thread is to end once the queue is empty.
    closing: bool,
    /// The thread has ended.
    closed: bool,
}

impl LogQueue {
    /// Starts the thread. `dropped` formats the line that reports dropped lines.
    ///
    /// # Errors
    /// Returns an error if the thread cannot be created.
    pub fn start(out: impl Write + Send + 'static, dropped: fn(u64) -> String) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let mut writer = LogWriter { shared: shared.clone(), out, dropped, lost: 0, truncated: false };
        thread::Builder::new().name("log".into()).spawn(move || writer.run())?;
        Ok(Self(shared))
    }

    /// Waits until the queue is written, for at most `timeout`, and ends the thread.
    pub fn close(&self, timeout: Duration) {
        let until = Instant::now() + timeout;
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
    /// A thread that panicked with the lock left the state consistent.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines. Returns them, and how many were dropped after them; `None` when the queue is closed.
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

/// The state of the thread.
struct LogWriter<W> {
    shared: Arc<Shared>,
    out: W,
    dropped: fn(u64) -> String,
    /// Lines dropped and not yet reported.
    lost: u64,
    /// The last write ended within a line.
    truncated: bool,
}

impl<W: Write> LogWriter<W> {
    fn run(&mut self) {
        while let Some((lines, refused)) = self.shared.take() {
            self.report_lost();
            self.lost += if self.lost == 0 { self.write(&lines) } else { lines_in(&lines) };
            self.lost += refused;
            if refused > 0 {
                self.report_lost();
            }
        }
        self.report_lost();
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }

    /// Reports the dropped lines, if that can be written.
    fn report_lost(&mut self) {
        if self.lost > 0 && self.write((self.dropped)(self.lost).as_bytes()) == 0 {
            self.lost = 0;
        }
    }

    /// Writes lines. Returns how many could not be written.
    fn write(&mut self, lines: &[u8]) -> u64 {
        if self.truncated && self.write_all(b"\n").is_ok() {
            self.truncated = false;
        }
        if self.truncated {
            return lines_in(lines);
        }
        match self.write_all(lines) {
            Ok(()) => 0,
            Err(written) => {
                self.truncated = written > 0 && lines[written - 1] != b'\n';
                lines_in(&lines[written..])
            }
        }
    }

    /// Writes all octets, or returns how many were written.
    fn write_all(&mut self, octets: &[u8]) -> Result<(), usize> {
        let mut written = 0;
        while written < octets.len() {
            match self.out.write(&octets[written..]) {
                Ok(0) => return Err(written),
                Ok(n) => written += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY_INTERVAL),
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
