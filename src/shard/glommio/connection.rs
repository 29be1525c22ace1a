//! The reader of one connection, and the accepting of them.

use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_lite::future::poll_fn;
use glommio::net::{TcpListener, TcpStream};
use glommio::timer::Timer;
use tracing::{debug, warn};

use super::shell::{Peer, Shell};
use crate::facts::EndReason;
use crate::ids::ConnectionId;
use crate::limits::{CONNECTIONS_PER_SHARD_MAX, RECEIVE_BYTES_MAX};
use crate::log_throttle::LogThrottle;
use crate::shard::settings::ACCEPT_AGAIN_AFTER;
use crate::shard::tls::TlsLink;

impl Shell {
    /// Accepts connections for as long as the shard lives.
    pub(super) async fn run_listener(self: Rc<Self>, listener: TcpListener, secure: bool) {
        let mut failures = LogThrottle::default();
        loop {
            match listener.accept().await {
                Ok(stream) => self.clone().accept(stream, secure),
                Err(error) => {
                    if let Some(times) = failures.add(Instant::now()) {
                        warn!(shard = %self.id, %error, times, "cannot accept an MSRP connection");
                    }
                    Timer::new(ACCEPT_AGAIN_AFTER).await;
                }
            }
        }
    }

    fn accept(self: Rc<Self>, stream: TcpStream, secure: bool) {
        if self.peers.borrow().len() >= CONNECTIONS_PER_SHARD_MAX {
            warn!(shard = %self.id, "an MSRP connection too many was closed");
            return;
        }
        let link = match &self.tls {
            Some(tls) if secure => TlsLink::accept(tls).ok(),
            _ => None,
        };
        let Ok(address) = stream.peer_addr() else { return };
        let id = self.switch.borrow_mut().adopt(address, link.is_some(), Instant::now());
        self.take_in(id, stream, link);
    }

    /// Takes in a connection that the switch knows, whoever opened it.
    pub(super) fn take_in(self: Rc<Self>, id: ConnectionId, stream: TcpStream, link: Option<TlsLink>) {
        let peer = Rc::new(Peer::new(stream, link));
        self.peers.borrow_mut().insert(id, peer.clone());
        self.flush_link(id);
        self.settle();
        glommio::spawn_local(self.run_reader(id, peer)).detach();
    }

    /// Reads a connection until it is over: one bounded receive a turn.
    async fn run_reader(self: Rc<Self>, id: ConnectionId, peer: Rc<Peer>) {
        loop {
            while self.switch.borrow().is_paused(id) && !peer.closed.get() {
                peer.resume.wait().await;
            }
            match self.read_once(id, &peer).await {
                // It was paused while it waited for octets.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => break,
                // More may be there already. Giving way to the others is done through a timer: a task that stays runnable
                // would keep the executor from looking at its sockets.
                Ok(RECEIVE_BYTES_MAX) => _ = Timer::new(Duration::ZERO).await,
                Ok(_) => {}
            }
        }
        self.close(id, EndReason::ConnectionLost);
        self.settle();
    }

    async fn read_once(self: &Rc<Self>, id: ConnectionId, peer: &Peer) -> io::Result<usize> {
        poll_fn(|cx| {
            if peer.closed.get() {
                return Poll::Ready(Ok(0));
            }
            if self.switch.borrow().is_paused(id) {
                return Poll::Ready(Err(io::ErrorKind::WouldBlock.into()));
            }
            let mut slab = self.slab.borrow_mut();
            let read = peer.stream.poll_read(cx, slab.writable());
            let Poll::Ready(Ok(n)) = read else { return read };
            if n > 0 {
                let bytes = slab.take(n);
                drop(slab);
                self.handle(id, &bytes);
            }
            Poll::Ready(Ok(n))
        })
        .await
    }

    fn handle(self: &Rc<Self>, id: ConnectionId, bytes: &bytes::Bytes) {
        if self.handle_ciphertext(id, bytes) {
            return self.settle();
        }
        let outcome = self.switch.borrow_mut().handle_bytes(id, bytes, Instant::now());
        if let Err(error) = outcome {
            let peer = self.switch.borrow().peer(id);
            debug!(shard = %self.id, connection = %id, peer = peer.map(tracing::field::display), %error, "closing an MSRP connection");
        }
        self.settle();
    }
}
