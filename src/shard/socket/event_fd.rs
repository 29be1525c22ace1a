//! An eventfd, with which one thread wakes another that polls it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::EventfdFlags;

/// An eventfd that is written to and never read: a thread that polls it edge-triggered is woken by each write.
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// An eventfd that nothing was written to.
    ///
    /// # Errors
    /// Returns an error if the process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Wakes the thread that polls it. The counter is full after 2^64 calls.
    pub fn signal(&self) {
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Another descriptor of the same eventfd, to poll it by.
    ///
    /// # Errors
    /// Returns an error if the process has no descriptors left.
    pub fn try_clone(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }
}
