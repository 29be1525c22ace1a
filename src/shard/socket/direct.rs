//! Sends of one socket, which do not wait.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use rustix::net::{SendAncillaryBuffer, SendFlags};

/// A socket. What the kernel has no room for is `WouldBlock`.
#[derive(Debug, Clone, Copy)]
pub struct Direct<'a>(pub BorrowedFd<'a>);

impl io::Write for Direct<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        send_nowait(self.0, &[IoSlice::new(octets)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        send_nowait(self.0, slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends pieces of memory, as many octets as the kernel has room for, and returns how many that were.
///
/// # Errors
/// Returns `WouldBlock` if there is no room, and what the system call returns if the connection has failed.
pub fn send_nowait(socket: BorrowedFd<'_>, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    Ok(rustix::net::sendmsg(socket, pieces, &mut SendAncillaryBuffer::default(), flags)?)
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
