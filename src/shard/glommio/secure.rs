//! Links of connections with TLS, and connections that are made for clients that only listen.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_lite::future::or;
use glommio::net::TcpStream;
use glommio::timer::Timer;
use tracing::debug;

use super::shell::{Peer, Shell};
use crate::facts::EndReason;
use crate::ids::ConnectionId;
use crate::shard::settings::DIAL_TIMEOUT;
use crate::shard::socket::{Direct, Stream};
use crate::shard::tls::{Flushed, TlsLink};
use crate::switch::Dial;
use crate::tls::reason;

impl Shell {
    /// What has come on a connection, if that has TLS; answers whether it has.
    pub(super) fn handle_ciphertext(self: &Rc<Self>, id: ConnectionId, bytes: &[u8]) -> bool {
        let Some(peer) = self.peers.borrow().get(id).cloned() else { return false };
        let Some(link) = &peer.link else { return false };
        let (outcome, closed, has_to_say) = {
            let (mut link, mut switch, mut slab) =
                (link.borrow_mut(), self.switch.borrow_mut(), self.slab.borrow_mut());
            let outcome = link.handle_bytes(&mut switch, &mut slab, id, bytes, Instant::now());
            (outcome, link.peer_has_closed(), link.has_to_say())
        };
        if let Err(error) = &outcome {
            let peer = self.switch.borrow().peer(id);
            debug!(shard = %self.id, connection = %id, peer = peer.map(tracing::field::display), error = reason(error), "closing an MSRP connection, which does not keep to TLS");
        }
        if has_to_say {
            self.flush_link(id);
        }
        if outcome.is_err() || closed {
            self.close(id, EndReason::ConnectionLost);
        }
        true
    }

    /// Sends what waits for a connection, if that has TLS.
    pub(super) fn flush_link(self: &Rc<Self>, id: ConnectionId) {
        let Some(peer) = self.peers.borrow().get(id).cloned() else { return };
        let Some(link) = &peer.link else { return };
        let flushed = self.push(id, &mut link.borrow_mut(), &mut Direct(peer.stream.as_fd()));
        match flushed {
            Flushed::Done => {}
            Flushed::Full => self.wait_for_room(id),
            Flushed::Over => self.close(id, EndReason::ConnectionLost),
        }
    }

    fn push(&self, id: ConnectionId, link: &mut TlsLink, out: &mut dyn Write) -> Flushed {
        let (mut switch, mut batch) = (self.switch.borrow_mut(), self.batch.borrow_mut());
        link.flush(&mut switch, id, batch.plaintext(), out, Instant::now())
    }

    /// The same once the socket has room again.
    pub(super) fn push_link(
        &self,
        id: ConnectionId,
        peer: &Peer,
        link: &mut TlsLink,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match self.push(id, link, &mut Polled(&peer.stream, cx)) {
            Flushed::Done => {
                self.switch.borrow_mut().sent(id, 0, Instant::now());
                Poll::Ready(Ok(()))
            }
            Flushed::Full => Poll::Pending,
            Flushed::Over => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// The switch wants a connection closed. With TLS it goes when the last of its ciphertext has left, or when the switch asks
    /// again.
    pub(super) fn hang_up(self: &Rc<Self>, id: ConnectionId) {
        let peer = self.peers.borrow().get(id).cloned();
        if let Some(peer) = &peer
            && let Some(link) = &peer.link
            && !link.borrow_mut().end(&mut Direct(peer.stream.as_fd()))
        {
            return self.wait_for_room(id);
        }
        self.close(id, EndReason::ConnectionLost);
    }

    /// Begins to make a connection that the switch asks for.
    pub(super) fn dial(self: &Rc<Self>, dial: Dial) {
        glommio::spawn_local(self.clone().reach(dial)).detach();
    }

    async fn reach(self: Rc<Self>, dial: Dial) {
        let late = async {
            Timer::new(DIAL_TIMEOUT).await;
            Err("it takes too long".to_owned())
        };
        let made = or(async { TcpStream::connect(dial.address).await.map_err(|error| error.to_string()) }, late).await;
        match made.and_then(|stream| Ok((stream, self.link_to(&dial)?))) {
            Ok((stream, link)) => {
                let _ = stream.set_nodelay(true);
                let id = self.switch.borrow_mut().connected(&dial, Instant::now());
                match id {
                    Some(id) => self.take_in(id, stream, link),
                    None => self.settle(),
                }
            }
            Err(error) => {
                debug!(shard = %self.id, address = %dial.address, error, "nobody to connect to");
                self.switch.borrow_mut().connect_failed(&dial, Instant::now());
                self.settle();
            }
        }
    }

    fn link_to(&self, dial: &Dial) -> Result<Option<TlsLink>, String> {
        let Some(name) = &dial.tls else { return Ok(None) };
        let tls = self.tls.as_ref().ok_or("there is no certificate for TLS")?;
        TlsLink::connect(tls, name, &dial.fingerprints).map(Some).map_err(|error| error.to_string())
    }
}

/// A stream that wakes a task when it has room again.
struct Polled<'a, 'b>(&'a Stream, &'a mut Context<'b>);

impl Write for Polled<'_, '_> {
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
