//! Stops the server for a while: a correct measurement shows it in the latency.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A pause of a process that the bench started.
#[derive(Debug, Clone, Copy)]
pub struct Freeze {
    pid: Pid,
    time: Duration,
}

/// A scheduled pause. Dropping it resumes the process.
pub struct Freezing {
    freeze: Freeze,
    state: State,
}

enum State {
    Until(Instant),
    Frozen(Instant),
    Over,
}

impl Freeze {
    /// A pause of a process, of length `time`.
    ///
    /// # Panics
    /// Panics if `pid` is no process id.
    #[must_use]
    pub fn new(pid: u32, time: Duration) -> Self {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a child's process id");
        Self { pid, time }
    }

    /// Schedules the pause for `time`.
    #[must_use]
    pub fn at(self, time: Instant) -> Freezing {
        Freezing { freeze: self, state: State::Until(time) }
    }
}

impl Freezing {
    /// Does what is due. Answers when to come back.
    pub fn poll(&mut self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Until(time) if now >= time => {
                let _ = kill_process(self.freeze.pid, Signal::STOP);
                self.state = State::Frozen(now + self.freeze.time);
            }
            State::Frozen(end) if now >= end => self.thaw(),
            _ => {}
        }
        match self.state {
            State::Until(time) | State::Frozen(time) => Some(time),
            State::Over => None,
        }
    }

    fn thaw(&mut self) {
        let _ = kill_process(self.freeze.pid, Signal::CONT);
        self.state = State::Over;
    }
}

impl Drop for Freezing {
    fn drop(&mut self) {
        if matches!(self.state, State::Frozen(_)) {
            self.thaw();
        }
    }
}
