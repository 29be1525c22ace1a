//! One socket that is written to without waiting, and the pieces that are encrypted for it.

use std::io::{self, IoSlice};
use std::os::fd::RawFd;

use crate::switch::PieceSink;

const FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// A socket. What the kernel has no room for is `WouldBlock`.
#[derive(Debug, Clone, Copy)]
pub struct Direct(pub RawFd);

impl io::Write for Direct {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(octets)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        // SAFETY: all zeroes is a valid msghdr.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        // An IoSlice is an iovec (its documentation says so), and a send does not write through it.
        message.msg_iov = slices.as_ptr().cast_mut().cast();
        message.msg_iovlen = slices.len();
        // SAFETY: the message and its slices live until the call returns, and the kernel keeps nothing of them.
        let n = unsafe { libc::sendmsg(self.0, &message, FLAGS) };
        usize::try_from(n).map_err(|_| io::Error::last_os_error())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Pieces of outboxes that are pointed to until they are lent, once. In between nothing may touch the outboxes.
#[derive(Debug, Default)]
pub struct Pieces(Vec<libc::iovec>);

impl Pieces {
    /// Lends the pieces in order, and forgets them.
    pub fn lend<R>(&mut self, take: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        // SAFETY: an iovec is an IoSlice; each was made of a slice that is still there, as whoever gathers keeps the outboxes
        // borrowed until this returns.
        let slices = unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast::<IoSlice<'_>>(), self.0.len()) };
        let taken = take(slices);
        self.0.clear();
        taken
    }
}

impl PieceSink for Pieces {
    fn push(&mut self, piece: &[u8]) {
        self.0.push(libc::iovec { iov_base: piece.as_ptr().cast_mut().cast(), iov_len: piece.len() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn pieces_are_lent_once_and_in_order() {
        let mut pieces = Pieces::default();
        pieces.push(b"one, ");
        pieces.push(b"two");
        let text = |slices: &[IoSlice<'_>]| slices.iter().flat_map(|slice| slice.to_vec()).collect::<Vec<u8>>();
        assert_eq!(pieces.lend(text), b"one, two");
        assert_eq!(pieces.lend(text), b"");
    }

    #[test]
    fn a_full_socket_does_not_wait() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut direct = Direct(ours.as_raw_fd());
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
