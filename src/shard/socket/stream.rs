//! A connection of glommio's executor that can also be sent to directly.

use std::cell::RefCell;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;

/// A stream and its descriptor. The stream is never moved out, so the descriptor is open for as long as this lives.
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

    /// A writer that wakes the task of `cx` when the socket has room again.
    pub fn writer<'a, 'b>(&'a self, cx: &'a mut Context<'b>) -> impl Write + use<'a, 'b> {
        Writer(self, cx)
    }
}

struct Writer<'a, 'b>(&'a Stream, &'a mut Context<'b>);

impl Write for Writer<'_, '_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self.0.poll_write(self.1, octets) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<OwnedFd> for Stream {
    fn from(socket: OwnedFd) -> Self {
        // SAFETY: the descriptor is that of a TCP socket, and this is its only owner.
        Self::new(unsafe { TcpStream::from_raw_fd(socket.into_raw_fd()) })
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the stream owns the descriptor, and lives as long as this does.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}
