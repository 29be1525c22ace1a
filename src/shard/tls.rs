//! TLS between a socket and the switch: ciphertext in, plaintext out, and the other way round. It has no sockets.
//!
//! What waits in an outbox is handed to rustls as a list of pieces, which makes records of up to 16 KiB of it, however many chunks
//! those are. The plaintext is then taken off the outbox, and the ciphertext waits in the link until the kernel has taken it. No more
//! is encrypted for a connection whose ciphertext waits, so that is bounded by [`TLS_WAITING_BYTES_MAX`]; for the switch the
//! connection is blocked.
//!
//! Ciphertext leaves in one of two ways: it is written to the socket, or copied into a batch ([`TlsLink::copy_to`]) and taken off
//! the link once the batch has said how much of it left ([`TlsLink::sent`]).

use std::io::{self, IoSlice, Read, Write};
use std::time::Instant;

use rustls::{ClientConnection, Connection, ServerConnection};
use rustls_pki_types::ServerName;
use tracing::debug;

use super::slab::Slab;
use super::socket::Pieces;
use crate::facts::{Certificate, Fingerprint};
use crate::ids::ConnectionId;
use crate::limits::{TLS_TURN_BYTES_MAX, TLS_WAITING_BYTES_MAX};
use crate::switch::Switch;
use crate::tls::{TlsError, TlsSetup, identify};

/// One connection's TLS.
#[derive(Debug)]
pub struct TlsLink {
    connection: Connection,
    /// We are the client.
    is_client: bool,
    /// The handshake succeeds only if the certificate is made for the name that we asked for.
    verifies_name: bool,
    /// The end of the handshake was reported.
    reported: bool,
    /// A close_notify was sent, or waits: nothing is encrypted any more.
    closing: bool,
    /// A flush has sent or gathered for this link, and has not told the switch yet: the outbox still has what was encrypted.
    pub in_flush: bool,
}

/// The outcome of a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// All ciphertext has left.
    Done,
    /// Ciphertext waits for room in the socket.
    WouldBlock,
    /// The link is closed and its last ciphertext has left, or the socket has failed.
    Closed,
}

impl TlsLink {
    /// The link of an accepted connection.
    ///
    /// # Errors
    /// Returns an error if rustls refuses the settings.
    pub fn accept(setup: &TlsSetup) -> Result<Self, TlsError> {
        Ok(Self::new(ServerConnection::new(setup.msrp_server.clone())?.into(), false, false))
    }

    /// The link of a connection that we have made to `name`, which goes into the ClientHello (RFC 4975 §14.2). The peer's certificate
    /// must have one of `fingerprints`, or be made for the name if there are none.
    ///
    /// # Errors
    /// Returns an error if `name` is no name of a host.
    pub fn connect(setup: &TlsSetup, name: &str, fingerprints: &[Fingerprint]) -> Result<Self, TlsError> {
        let name = ServerName::try_from(name.to_owned()).map_err(|error| TlsError::General(error.to_string()))?;
        let connection = ClientConnection::new(setup.client_for(fingerprints)?, name)?;
        Ok(Self::new(connection.into(), true, fingerprints.is_empty()))
    }

    fn new(mut connection: Connection, is_client: bool, verifies_name: bool) -> Self {
        connection.set_buffer_limit(Some(TLS_WAITING_BYTES_MAX));
        Self { connection, is_client, verifies_name, reported: false, closing: false, in_flush: false }
    }

    /// Decrypts octets that were received on a connection into `slab`, and hands the plaintext to the switch.
    ///
    /// # Errors
    /// Returns an error as [`Self::receive`] does. The connection has to be closed.
    pub fn handle_bytes(
        &mut self,
        switch: &mut Switch,
        slab: &mut Slab,
        id: ConnectionId,
        bytes: &[u8],
        now: Instant,
    ) -> Result<(), TlsError> {
        let mut input = bytes;
        loop {
            let n = self.receive(&mut input, slab.writable()).inspect_err(|error| {
                if self.is_client && matches!(error, TlsError::InvalidCertificate(_)) {
                    switch.handshake_done(id, None, now);
                }
            })?;
            if let Some(certificate) = self.take_handshake() {
                switch.handshake_done(id, certificate, now);
            }
            if n == 0 {
                return Ok(());
            }
            let plain = slab.take(n);
            if let Err(error) = switch.handle_bytes(id, &plain, now) {
                // The switch has it on its list of connections to close.
                debug!(connection = %id, %error, "closing an MSRP connection");
                return Ok(());
            }
        }
    }

    /// Whether ciphertext waits: of a handshake, an alert, or what the socket had no room for.
    pub fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// Takes ciphertext off the beginning of `input` and writes plaintext into `into`. Returns how many octets of plaintext. If that
    /// is 0, all of `input` was taken; otherwise call it again.
    ///
    /// # Errors
    /// Returns an error if the peer violates TLS. The alert for it waits to be sent.
    pub fn receive(&mut self, input: &mut &[u8], into: &mut [u8]) -> Result<usize, TlsError> {
        let mut filled = 0;
        loop {
            // An error says that there is no plaintext now, or none any more, which `peer_has_closed` tells apart.
            while let Ok(n @ 1..) = self.connection.reader().read(&mut into[filled..]) {
                filled += n;
            }
            if filled == into.len() || input.is_empty() {
                return Ok(filled);
            }
            match self.connection.read_tls(input) {
                Ok(1..) => _ = self.connection.process_new_packets()?,
                // What follows a close_notify is ignored.
                Ok(0) | Err(_) => *input = &[],
            }
        }
    }

    /// The certificate that the peer has shown, once, when the handshake is complete.
    pub fn take_handshake(&mut self) -> Option<Option<Certificate>> {
        if self.connection.is_handshaking() || std::mem::replace(&mut self.reported, true) {
            return None;
        }
        let chain = self.connection.peer_certificates().unwrap_or_default();
        Some(identify(chain, self.verifies_name))
    }

    /// Whether the peer has sent a close_notify.
    pub fn peer_has_closed(&mut self) -> bool {
        self.connection.process_new_packets().is_ok_and(|state| state.peer_has_closed())
    }

    /// Encrypts pieces of plaintext. Returns how many octets of them were taken.
    pub fn encrypt(&mut self, pieces: &[IoSlice<'_>]) -> usize {
        self.connection.writer().write_vectored(pieces).unwrap_or(0)
    }

    /// Writes the ciphertext that waits. Returns whether all of it has left.
    ///
    /// # Errors
    /// Returns the error of `out` if it has failed.
    pub fn write_to(&mut self, out: &mut dyn Write) -> io::Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(out) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Sends a close_notify behind what waits. Returns whether the connection can be closed now: all has left, the socket has failed,
    /// or this was called before.
    pub fn close(&mut self, out: &mut dyn Write) -> bool {
        if std::mem::replace(&mut self.closing, true) {
            return true;
        }
        self.connection.send_close_notify();
        self.write_to(out).unwrap_or(true)
    }

    /// Writes the ciphertext that waits to `out`. Once that has all left, encrypts a turn's share of a connection's outbox and
    /// returns how many octets of plaintext that was, 0 during the handshake; the ciphertext waits.
    ///
    /// # Errors
    /// Returns the outcome of the flush if what waited has not all left or was the last.
    pub fn encrypt_turn(
        &mut self,
        switch: &Switch,
        id: ConnectionId,
        plaintext: &mut Pieces,
        out: &mut dyn Write,
    ) -> Result<usize, Flushed> {
        match self.write_to(out) {
            Ok(true) if self.closing => return Err(Flushed::Closed),
            Ok(true) => {}
            Ok(false) => return Err(Flushed::WouldBlock),
            Err(_) => return Err(Flushed::Closed),
        }
        if self.connection.is_handshaking() {
            return Ok(0);
        }
        Ok(plaintext.lend(switch, id, TLS_TURN_BYTES_MAX, |pieces| self.encrypt(pieces)))
    }

    /// Writes the ciphertext that waits to `out`.
    pub fn write_all(&mut self, out: &mut dyn Write) -> Flushed {
        match self.write_to(out) {
            Ok(true) => Flushed::Done,
            Ok(false) => Flushed::WouldBlock,
            Err(_) => Flushed::Closed,
        }
    }

    /// Copies the ciphertext that waits to the beginning of `into`, to be sent in a batch. Returns how many octets; 0 if there are none
    /// or they do not fit. Nothing else of this link may be sent before [`Self::sent`].
    pub fn copy_to(&mut self, into: &mut [u8]) -> usize {
        let mut copy = Copied { into, len: 0 };
        // It always fails, so that the link keeps what was copied.
        let _ = self.connection.write_tls(&mut copy);
        copy.len
    }

    /// The first `n` octets of what was copied to a batch have left. Returns whether all ciphertext has.
    pub fn sent(&mut self, n: usize) -> bool {
        let mut left = Discard(n);
        while left.0 > 0 && self.connection.wants_write() {
            // Discarding cannot fail.
            let _ = self.connection.write_tls(&mut left);
        }
        !self.connection.wants_write()
    }

    /// Writes the ciphertext that waits to `out`. Once that has all left, encrypts a turn's share of a connection's outbox and writes that
    /// too.
    pub fn flush(
        &mut self,
        switch: &mut Switch,
        id: ConnectionId,
        plaintext: &mut Pieces,
        out: &mut dyn Write,
        now: Instant,
    ) -> Flushed {
        let taken = self.encrypt_turn(switch, id, plaintext, out);
        let flushed = taken.err().unwrap_or_else(|| self.write_all(out));
        flushed.settle(switch, id, taken.ok(), now);
        flushed
    }
}

impl Flushed {
    /// Reports a flush to the switch: how many octets of plaintext were taken off the outbox, if any could be, and whether the
    /// connection is blocked.
    pub fn settle(self, switch: &mut Switch, id: ConnectionId, taken: Option<usize>, now: Instant) {
        if let Some(taken) = taken {
            switch.sent(id, taken, now);
        }
        if self == Self::WouldBlock {
            switch.blocked(id, now);
        }
    }
}

/// A writer that copies what fits, and fails, so that nothing is taken off the link.
struct Copied<'a> {
    into: &'a mut [u8],
    len: usize,
}

impl Write for Copied<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(octets)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if slices.iter().map(|slice| slice.len()).sum::<usize>() <= self.into.len() {
            for slice in slices {
                self.into[self.len..][..slice.len()].copy_from_slice(slice);
                self.len += slice.len();
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer that takes so many octets and drops them.
struct Discard(usize);

impl Write for Discard {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let n = octets.len().min(self.0);
        self.0 -= n;
        Ok(n)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let n = slices.iter().map(|slice| slice.len()).sum::<usize>().min(self.0);
        self.0 -= n;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub mod tests;
