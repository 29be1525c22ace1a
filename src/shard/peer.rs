//! One connection of the shell: its socket, and TLS where it has that.

use std::cell::RefCell;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::rc::Rc;

use socket2::SockRef;

use super::submit::Target;
use super::tls::TlsLink;

/// A connection that the switch knows.
pub struct Peer<S> {
    /// Its socket, which the back end may hold for longer.
    pub socket: Rc<S>,
    /// The back end was asked to receive, and has not answered yet.
    pub receiving: bool,
    /// The back end was asked to wait for room to write, and has not answered yet.
    pub awaits_room: bool,
    /// TLS between the socket and the switch.
    pub link: Option<Box<RefCell<TlsLink>>>,
}

impl<S: AsFd> Peer<S> {
    /// Where its bytes go.
    pub fn target(&self) -> Target<'_> {
        Target { socket: self.socket.as_fd(), link: self.link.as_deref() }
    }

    /// Shuts both directions down: what the back end waits for on the socket completes, and the peer is told. Dropping the
    /// descriptor alone would not do that, since the back end may hold it too.
    pub fn shut_down(&self) {
        shut_down(&*self.socket);
    }
}

/// Shuts both directions of a socket down.
pub fn shut_down(socket: &impl AsFd) {
    // It fails only where the peer was faster.
    let _ = SockRef::from(socket).shutdown(Shutdown::Both);
}
