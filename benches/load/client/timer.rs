//! A timer to the nanosecond for a poll, whose own timeout counts whole milliseconds.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// Makes a poll return at a time.
pub struct Timer {
    descriptor: OwnedFd,
    set_to: Option<Instant>,
}

impl Timer {
    /// One that a poll tells of by `token`.
    ///
    /// # Errors
    /// Returns an error if there is no descriptor left.
    pub fn new(poll: &Poll, token: Token) -> io::Result<Self> {
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        poll.registry().register(&mut SourceFd(&descriptor.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { descriptor, set_to: None })
    }

    /// Goes off at `time`. Setting it again replaces that, and quiets one that has gone off.
    ///
    /// # Errors
    /// Returns an error if the system call fails.
    pub fn set(&mut self, time: Instant, now: Instant) -> io::Result<()> {
        if self.set_to == Some(time) && time > now {
            return Ok(());
        }
        self.set_to = Some(time);
        // Zero would turn it off.
        let wait = time.saturating_duration_since(now).max(Duration::from_nanos(1));
        let wait = Timespec::try_from(wait).map_err(io::Error::other)?;
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: wait };
        timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}
