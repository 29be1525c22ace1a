//! Connections that the switch asks for, because the client only listens.

use std::rc::Rc;
use std::time::Instant;

use socket2::SockRef;
use tracing::debug;

use super::backend::Backend;
use super::dials::Pending;
use super::peer::shut_down;
use super::settings::DIAL_TIMEOUT;
use super::shell::{Shell, Timeout};
use super::socket;
use super::tls::TlsLink;
use crate::switch::Dial;

impl<B: Backend> Shell<B> {
    /// Begins to make a connection.
    pub fn dial(&mut self, dial: Dial, now: Instant) {
        match socket::connect(dial.address) {
            Ok(socket) => {
                let socket: Rc<B::Socket> = Rc::new(std::os::fd::OwnedFd::from(socket).into());
                let number = self.dials.add(dial, socket.clone());
                self.timers.set(Timeout::Dial(number), now + DIAL_TIMEOUT);
                self.backend.connect(number, &socket);
            }
            Err(error) => self.fail(&dial, &error.to_string(), now),
        }
    }

    /// A connection that was being made is established or has failed.
    pub fn handle_connected(&mut self, number: u32, now: Instant) {
        self.timers.clear(&Timeout::Dial(number));
        let Some(Pending { dial, socket }) = self.dials.remove(number) else { return };
        match self.link_to(&dial, &socket) {
            Ok(link) => {
                if let Some(id) = self.switch.connected(&dial, now) {
                    if link.is_some() {
                        // A client speaks first.
                        self.writable.push(id);
                    }
                    self.add_peer(id, socket, link);
                }
            }
            Err(error) => self.fail(&dial, &error, now),
        }
        self.drive(now);
    }

    /// The TLS of a connection that was made, if it is to have any.
    fn link_to(&self, dial: &Dial, socket: &B::Socket) -> Result<Option<TlsLink>, String> {
        let socket = SockRef::from(socket);
        if let Some(error) = socket.take_error().unwrap_or_else(Some) {
            return Err(error.to_string());
        }
        // Without an error, but not connected either: whoever waited for it has seen the error.
        socket.peer_addr().and_then(|_| socket.set_nonblocking(false)).map_err(|error| error.to_string())?;
        let Some(name) = &dial.tls else { return Ok(None) };
        let tls = self.tls.as_ref().ok_or("there is no certificate for TLS")?;
        TlsLink::connect(tls, name, &dial.fingerprints).map(Some).map_err(|error| error.to_string())
    }

    /// Gives a connection up that takes too long.
    pub fn give_up(&mut self, number: u32, now: Instant) {
        let Some(Pending { dial, socket }) = self.dials.remove(number) else { return };
        // What the back end waits for ends by this.
        shut_down(&*socket);
        self.fail(&dial, "timed out", now);
    }

    fn fail(&mut self, dial: &Dial, error: &str, now: Instant) {
        debug!(shard = %self.id, peer = %dial.address, error, "cannot connect to an MSRP peer");
        self.switch.connect_failed(dial, now);
    }
}
