//! TLS between a socket and the switch: ciphertext in, plaintext out, and the other way round. No sockets here.
//!
//! Plaintext is not copied before it is encrypted: what waits in an outbox is handed to rustls in pieces, which makes records of
//! up to 16 KiB of it, however many chunks that are. It is taken off the outbox then, so nothing more of a connection is
//! encrypted while ciphertext of it waits: what waits is bounded by [`TLS_WAITING_BYTES_MAX`], and counts as a full socket.

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
    /// We have connected to it.
    ours: bool,
    /// The handshake comes to an end only with one who has the name that we have asked for.
    named: bool,
    /// It was told that the handshake is over.
    told: bool,
    /// Nothing more is sent but what waits, and then it is over.
    ending: bool,
    /// Ciphertext that waits was copied into a batch, and it is not known yet how much of it the kernel takes.
    in_batch: bool,
}

/// What became of a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// There is nothing that the socket could take now.
    Done,
    /// The socket is full.
    Full,
    /// Everything that was to be sent before the end has left, or the socket has failed.
    Over,
}

impl TlsLink {
    /// The link of a connection that came in.
    ///
    /// # Errors
    /// A fault of the settings.
    pub fn accept(setup: &TlsSetup) -> Result<Self, TlsError> {
        Ok(Self::new(ServerConnection::new(setup.msrp_server.clone())?.into(), false, false))
    }

    /// The link of a connection that we have made, to one who is called `name`, which goes into the ClientHello (RFC 4975
    /// §14.2), and who has named its certificate by `fingerprints`; where there are none it has to be made for the name.
    ///
    /// # Errors
    /// Where nobody can be called that.
    pub fn connect(setup: &TlsSetup, name: &str, fingerprints: &[Fingerprint]) -> Result<Self, TlsError> {
        let name = ServerName::try_from(name.to_owned()).map_err(|error| TlsError::General(error.to_string()))?;
        let connection = ClientConnection::new(setup.client_for(fingerprints)?, name)?;
        Ok(Self::new(connection.into(), true, fingerprints.is_empty()))
    }

    fn new(mut connection: Connection, ours: bool, named: bool) -> Self {
        connection.set_buffer_limit(Some(TLS_WAITING_BYTES_MAX));
        Self { connection, ours, named, told: false, ending: false, in_batch: false }
    }

    /// Takes what has come on a connection, and tells the switch what is in it. Plaintext is read into `slab`.
    ///
    /// # Errors
    /// As [`Self::receive`]; the connection is to be closed.
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
                if self.ours && matches!(error, TlsError::InvalidCertificate(_)) {
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
                // The switch has it on its list of those to be closed.
                debug!(connection = %id, %error, "closing an MSRP connection");
                return Ok(());
            }
        }
    }

    /// Whether ciphertext waits: of a handshake, an alert, or what the socket had no room for.
    pub fn has_to_say(&self) -> bool {
        self.connection.wants_write()
    }

    /// Takes ciphertext off the beginning of `input` and writes plaintext into `into`. Answers how much. None means that all of
    /// `input` was taken; otherwise it is to be called again.
    ///
    /// # Errors
    /// Where the peer does not keep to TLS. What is to be told it about that waits to be sent.
    pub fn receive(&mut self, input: &mut &[u8], into: &mut [u8]) -> Result<usize, TlsError> {
        let mut filled = 0;
        loop {
            // There is none at the moment, or there will be none any more: that is for `peer_has_closed` to say.
            while let Ok(n @ 1..) = self.connection.reader().read(&mut into[filled..]) {
                filled += n;
            }
            if filled == into.len() || input.is_empty() {
                return Ok(filled);
            }
            match self.connection.read_tls(input) {
                Ok(1..) => _ = self.connection.process_new_packets()?,
                // Behind a close_notify nothing counts.
                Ok(0) | Err(_) => *input = &[],
            }
        }
    }

    /// What the other end has shown, once, when the handshake is over.
    pub fn take_handshake(&mut self) -> Option<Option<Certificate>> {
        if self.connection.is_handshaking() || std::mem::replace(&mut self.told, true) {
            return None;
        }
        let chain = self.connection.peer_certificates().unwrap_or_default();
        Some(identify(chain, self.named))
    }

    /// Whether the peer has said its last.
    pub fn peer_has_closed(&mut self) -> bool {
        self.connection.process_new_packets().is_ok_and(|state| state.peer_has_closed())
    }

    /// Encrypts pieces of plaintext. Returns how many octets of them were taken.
    fn encrypt(&mut self, pieces: &[IoSlice<'_>]) -> usize {
        self.connection.writer().write_vectored(pieces).unwrap_or(0)
    }

    /// Writes the ciphertext that waits. Returns whether all of it has left.
    ///
    /// # Errors
    /// Returns the error of `out` if it has failed.
    pub fn write_to(&mut self, out: &mut dyn Write) -> io::Result<bool> {
        debug_assert!(!self.in_batch, "what is in a batch has not left yet");
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

    /// Says our last: a close_notify behind what waits. Answers whether the link can go now, or, called again, that it must.
    pub fn end(&mut self, out: &mut dyn Write) -> bool {
        if std::mem::replace(&mut self.ending, true) {
            return true;
        }
        self.connection.send_close_notify();
        self.write_to(out).unwrap_or(true)
    }

    /// Writes the ciphertext that waits to `out`. Once that has all left, encrypts a turn's share of a connection's outbox and
    /// returns how many octets of plaintext that was; the ciphertext waits.
    ///
    /// # Errors
    /// Returns what became of the flush if nothing can be encrypted in it.
    pub fn encrypt_turn(
        &mut self,
        switch: &Switch,
        id: ConnectionId,
        plaintext: &mut Pieces,
        out: &mut dyn Write,
    ) -> Result<usize, Flushed> {
        match self.write_to(out) {
            Ok(true) if self.ending => return Err(Flushed::Over),
            Ok(true) => {}
            Ok(false) => return Err(Flushed::Full),
            Err(_) => return Err(Flushed::Over),
        }
        if self.connection.is_handshaking() {
            return Err(Flushed::Done);
        }
        Ok(plaintext.lend(switch, id, TLS_TURN_BYTES_MAX, |pieces| self.encrypt(pieces)))
    }

    /// Writes the ciphertext that waits, and says what that comes to.
    pub fn write_all(&mut self, out: &mut dyn Write) -> Flushed {
        match self.write_to(out) {
            Ok(true) => Flushed::Done,
            Ok(false) => Flushed::Full,
            Err(_) => Flushed::Over,
        }
    }

    /// Copies the ciphertext that waits to the beginning of `into`, if it fits, to be sent in a batch. Returns how many octets those
    /// are; 0 if there are none or they do not fit. Until [`Self::sent`] is called nothing else of this link may be sent.
    pub fn copy_to(&mut self, into: &mut [u8]) -> usize {
        let mut copy = Copied { into, len: 0 };
        // It fails in any case, so that the link keeps what it has.
        let _ = self.connection.write_tls(&mut copy);
        self.in_batch = copy.len > 0;
        copy.len
    }

    /// The first `n` octets of what was copied to a batch have left. Returns whether all ciphertext has.
    pub fn sent(&mut self, n: usize) -> bool {
        self.in_batch = false;
        let mut left = Discard(n);
        while left.0 > 0 && self.connection.wants_write() {
            // It takes what has left already, and cannot fail.
            let _ = self.connection.write_tls(&mut left);
        }
        !self.connection.wants_write()
    }

    /// Whether ciphertext of this link is in a batch that was not submitted yet.
    pub fn is_in_batch(&self) -> bool {
        self.in_batch
    }

    /// Sends what waits for a connection: first as ciphertext, then, where that has all left, a turn's share of its outbox.
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
    /// Tells the switch how many octets of plaintext were taken off a connection's outbox, and whether the socket is full.
    pub fn settle(self, switch: &mut Switch, id: ConnectionId, taken: Option<usize>, now: Instant) {
        if let Some(taken) = taken {
            switch.sent(id, taken, now);
        }
        if self == Self::Full {
            switch.blocked(id, now);
        }
    }
}

/// Copies ciphertext that fits, and takes none of it off the link.
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

/// Takes so many octets off a link.
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
mod tests;
