//! What one thread wakes another with that waits in a ring.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::EventfdFlags;

/// An eventfd. It is written to and never read: whoever polls it for edges learns of every write.
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// One that nobody has written to.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Wakes whoever polls it. That the count were full takes 2^64 calls.
    pub fn signal(&self) {
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Another descriptor of the same, to poll it by.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn try_clone(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }
}
