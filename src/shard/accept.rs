//! Connections that come in.

use std::io;
use std::rc::Rc;
use std::time::Instant;

use socket2::SockRef;
use tracing::{debug, warn};

use super::backend::Backend;
use super::peer::Peer;
use super::settings::ACCEPT_AGAIN_AFTER;
use super::shell::{Shell, Timeout};
use super::tls::TlsLink;
use crate::ids::ConnectionId;
use crate::limits::CONNECTIONS_PER_SHARD_MAX;

/// The listener whose connections speak TLS.
const TLS_LISTENER: usize = 1;

impl<B: Backend> Shell<B> {
    /// Takes what a listener has answered: a connection, or why there is none.
    pub fn handle_accepted(&mut self, listener: usize, accepted: io::Result<B::Socket>, now: Instant) {
        match accepted {
            Ok(_) if self.peers.len() >= CONNECTIONS_PER_SHARD_MAX => {
                if let Some(times) = self.connection_limit_hits.add(now) {
                    warn!(shard = %self.id, times, "MSRP connection limit reached, connection closed");
                }
            }
            Ok(socket) => self.accept(listener, socket, now),
            Err(error) => {
                if let Some(times) = self.accept_failures.add(now) {
                    warn!(shard = %self.id, %error, times, "cannot accept an MSRP connection");
                }
                self.timers.set(Timeout::Accept(listener), now + ACCEPT_AGAIN_AFTER);
            }
        }
    }

    fn accept(&mut self, listener: usize, socket: B::Socket, now: Instant) {
        let link = match &self.tls {
            _ if listener != TLS_LISTENER => None,
            Some(tls) => match TlsLink::accept(tls) {
                Ok(link) => Some(link),
                Err(error) => {
                    debug!(shard = %self.id, %error, "cannot begin TLS on an MSRP connection");
                    return;
                }
            },
            None => return,
        };
        // A peer that has gone again has no address.
        let Ok(Some(address)) = SockRef::from(&socket).peer_addr().map(|address| address.as_socket()) else { return };
        let id = self.switch.adopt(address, link.is_some(), now);
        self.add_peer(id, Rc::new(socket), link);
    }

    /// Adds a connection that the switch knows, whoever opened it, and begins to receive. The socket must be a blocking one: a
    /// ring waits for it that way.
    pub fn add_peer(&mut self, id: ConnectionId, socket: Rc<B::Socket>, link: Option<TlsLink>) {
        self.peers.insert(
            id,
            Peer { socket, receiving: false, awaits_room: false, link: link.map(|link| Box::new(link.into())) },
        );
        self.receive(id, true);
    }
}
