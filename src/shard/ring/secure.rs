//! Links of connections with TLS, and connections that are made for clients that only listen.

use std::collections::HashMap;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use socket2::SockRef;
use tracing::debug;

use super::shell::Shell;
use crate::facts::EndReason;
use crate::ids::ConnectionId;
use crate::shard::settings::DIAL_TIMEOUT;
use crate::shard::socket::{self, Direct};
use crate::shard::tls::TlsLink;
use crate::switch::Dial;
use crate::timers::Timers;
use crate::tls::reason;

/// Connections that are being made, by a number that the ring gives back.
#[derive(Debug, Default)]
pub struct Dials {
    under_way: HashMap<u32, UnderWay>,
    /// When each is given up.
    timers: Timers<u32>,
    last: u32,
}

#[derive(Debug)]
struct UnderWay {
    dial: Dial,
    socket: Rc<OwnedFd>,
}

impl Dials {
    /// When to give the next one up.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
}

impl Shell {
    /// What has come on a connection with TLS.
    pub(super) fn handle_ciphertext(&mut self, id: ConnectionId, bytes: &Bytes, now: Instant) {
        let Some(peer) = self.peers.get(id) else { return };
        let Some(link) = &peer.link else { return };
        let mut link = link.borrow_mut();
        let outcome = link.handle_bytes(&mut self.switch, &mut self.slab, id, bytes, now);
        let over = outcome.is_err() || link.peer_has_closed();
        if over {
            // An alert is worth one try.
            let mut out = Direct(peer.socket.as_fd());
            link.flush(&mut self.switch, id, self.batch.plaintext(), &mut out, now);
        } else if link.has_to_say() {
            self.writable.push(id);
        }
        drop(link);
        if let Err(error) = &outcome {
            let peer = self.switch.peer(id);
            debug!(shard = %self.id, connection = %id, peer = peer.map(tracing::field::display), error = reason(error), "closing an MSRP connection, which does not keep to TLS");
        }
        if over {
            self.close(id, EndReason::ConnectionLost, now);
        }
        self.settle(now);
    }

    /// The switch wants a connection closed. With TLS it goes when the last of its ciphertext has left, or when the switch asks
    /// again.
    pub(super) fn hang_up(&mut self, id: ConnectionId, now: Instant) {
        if let Some(peer) = self.peers.get(id)
            && peer.link.as_ref().is_some_and(|link| !link.borrow_mut().end(&mut Direct(peer.socket.as_fd())))
        {
            self.ring.writable(id, &peer.socket);
            return;
        }
        self.close(id, EndReason::ConnectionLost, now);
    }

    /// Begins to make a connection that the switch asks for.
    pub(super) fn dial(&mut self, dial: Dial, now: Instant) {
        match socket::connect(dial.address) {
            Ok(socket) => {
                let socket = Rc::new(socket.into());
                self.dials.last = self.dials.last.wrapping_add(1);
                self.ring.connecting(self.dials.last, &socket);
                self.dials.under_way.insert(self.dials.last, UnderWay { dial, socket });
                self.dials.timers.set(self.dials.last, now + DIAL_TIMEOUT);
            }
            Err(error) => {
                debug!(shard = %self.id, address = %dial.address, %error, "nobody to connect to");
                self.switch.connect_failed(&dial, now);
            }
        }
    }

    /// A connection that was being made is there, or has failed.
    pub(super) fn handle_connected(&mut self, number: u32, now: Instant) {
        let Some(UnderWay { dial, socket }) = self.dials.under_way.remove(&number) else { return };
        self.dials.timers.clear(&number);
        match self.connected(&dial, &socket) {
            Ok(link) => {
                if let Some(id) = self.switch.connected(&dial, now) {
                    let says_hello = link.is_some();
                    self.take_in(id, socket, link);
                    if says_hello {
                        self.writable.push(id);
                    }
                }
            }
            Err(error) => {
                debug!(shard = %self.id, address = %dial.address, error, "nobody to connect to");
                self.switch.connect_failed(&dial, now);
            }
        }
        self.settle(now);
    }

    fn connected(&self, dial: &Dial, socket: &OwnedFd) -> Result<Option<TlsLink>, String> {
        let socket = SockRef::from(socket);
        if let Some(error) = socket.take_error().unwrap_or_else(Some) {
            return Err(error.to_string());
        }
        socket.set_nonblocking(false).map_err(|error| error.to_string())?;
        let Some(name) = &dial.tls else { return Ok(None) };
        let tls = self.tls.as_ref().ok_or("there is no certificate for TLS")?;
        TlsLink::connect(tls, name, &dial.fingerprints).map(Some).map_err(|error| error.to_string())
    }

    /// Gives up what takes too long.
    pub(super) fn give_up_dials(&mut self, now: Instant) {
        while let Some(number) = self.dials.timers.pop_due(now) {
            let Some(UnderWay { dial, socket }) = self.dials.under_way.remove(&number) else { continue };
            // What the ring has under way for it ends by this.
            let _ = SockRef::from(&*socket).shutdown(Shutdown::Both);
            self.switch.connect_failed(&dial, now);
        }
    }
}
