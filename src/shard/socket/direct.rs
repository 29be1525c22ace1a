//! One socket that is written to without waiting, and the pieces that are encrypted for it.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use socket2::SockRef;

use crate::ids::ConnectionId;
use crate::switch::{PieceSink, Switch};

const FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// A socket. What the kernel has no room for is `WouldBlock`.
#[derive(Debug, Clone, Copy)]
pub struct Direct<'a>(pub BorrowedFd<'a>);

impl io::Write for Direct<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        SockRef::from(&self.0).send_with_flags(octets, FLAGS)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        SockRef::from(&self.0).send_vectored_with_flags(slices, FLAGS)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Memory for the list of an outbox's pieces, which is kept from one time to the next.
#[derive(Debug, Default)]
pub struct Pieces(Vec<libc::iovec>);

impl Pieces {
    /// Lends what waits for a connection, `max` octets at most, in order.
    pub fn lend<R>(
        &mut self,
        switch: &Switch,
        id: ConnectionId,
        max: usize,
        take: impl FnOnce(&[IoSlice<'_>]) -> R,
    ) -> R {
        self.0.clear();
        switch.gather(id, &mut List(&mut self.0), max);
        // SAFETY: the switch keeps its pieces where they are while it is borrowed, which it is until this returns.
        take(unsafe { slices(&self.0) })
    }
}

/// # Safety
/// What they point to stays as it is for as long as they are borrowed.
unsafe fn slices(pieces: &[libc::iovec]) -> &[IoSlice<'_>] {
    // SAFETY: an IoSlice is an iovec (its documentation says so), and what they point to is there, as the caller says.
    unsafe { std::slice::from_raw_parts(pieces.as_ptr().cast::<IoSlice<'_>>(), pieces.len()) }
}

struct List<'a>(&'a mut Vec<libc::iovec>);

impl PieceSink for List<'_> {
    fn push(&mut self, piece: &[u8]) {
        self.0.push(libc::iovec { iov_base: piece.as_ptr().cast_mut().cast(), iov_len: piece.len() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_full_socket_does_not_wait() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut direct = Direct(ours.as_fd());
        assert_eq!(direct.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"c")]).unwrap(), 3);
        let mut text = [0; 3];
        theirs.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"abc");
        let error = std::iter::repeat_with(|| direct.write(&[0; 65536])).find_map(Result::err).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(theirs);
        assert!(direct.write(b"x").is_err(), "and a lost one raises no signal");
    }
}
