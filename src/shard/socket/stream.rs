//! A connection of the executor that can also be sent to directly.

use std::cell::RefCell;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use socket2::SockRef;

/// A stream and its descriptor. The stream is never given away, so that the descriptor is open for as long as this is there.
pub struct Stream {
    stream: RefCell<TcpStream>,
    fd: RawFd,
}

impl Stream {
    /// Takes a stream.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        Self { fd: stream.as_raw_fd(), stream: RefCell::new(stream) }
    }

    /// As [`AsyncRead::poll_read`].
    pub fn poll_read(&self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, into)
    }

    /// As [`AsyncWrite::poll_write`].
    pub fn poll_write(&self, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_write(cx, octets)
    }

    /// Ends both directions: whoever waits for it learns that it is over, and the peer too. A pending poll of the executor's ring
    /// holds the file open, so closing the descriptor alone would not do.
    pub fn shut_down(&self) {
        let _ = SockRef::from(self).shutdown(Shutdown::Both);
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the stream owns the descriptor and goes with this only.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}
