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
        Self { connection, ours, named, told: false, ending: false }
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
                    switch.handshaken(id, None, now);
                }
            })?;
            if let Some(certificate) = self.take_handshake() {
                switch.handshaken(id, certificate, now);
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

    /// Encrypts pieces of plaintext. Answers how many octets of them were taken.
    fn encrypt(&mut self, pieces: &[IoSlice<'_>]) -> usize {
        self.connection.writer().write_vectored(pieces).unwrap_or(0)
    }

    /// Writes the ciphertext that waits. Answers whether all of it has left.
    ///
    /// # Errors
    /// Where `out` has failed.
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

    /// Says our last: a close_notify behind what waits. Answers whether the link can go now, or, called again, that it must.
    pub fn end(&mut self, out: &mut dyn Write) -> bool {
        if std::mem::replace(&mut self.ending, true) {
            return true;
        }
        self.connection.send_close_notify();
        self.write_to(out).unwrap_or(true)
    }

    /// Sends what waits for a connection: first as ciphertext, then, where that has all left, a turn's share of its outbox.
    pub fn flush(
        &mut self,
        switch: &mut Switch,
        id: ConnectionId,
        pieces: &mut Pieces,
        out: &mut dyn Write,
        now: Instant,
    ) -> Flushed {
        match self.write_to(out) {
            Ok(true) if self.ending => return Flushed::Over,
            Ok(true) => {}
            Ok(false) => {
                switch.blocked(id, now);
                return Flushed::Full;
            }
            Err(_) => return Flushed::Over,
        }
        if self.connection.is_handshaking() {
            return Flushed::Done;
        }
        let taken = pieces.lend(switch, id, TLS_TURN_BYTES_MAX, |pieces| self.encrypt(pieces));
        let written = self.write_to(out);
        switch.sent(id, taken, now);
        match written {
            Ok(true) => Flushed::Done,
            Ok(false) => {
                switch.blocked(id, now);
                Flushed::Full
            }
            Err(_) => Flushed::Over,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{Identity, Trust};

    fn setup(name: &str) -> (TlsSetup, Identity) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let identity = Identity::load(&certificate, &key).unwrap();
        let trust = Trust::load(Some(&certificate)).unwrap();
        (TlsSetup::new(&identity, &trust).unwrap(), identity)
    }

    /// A server and a client, which have not spoken.
    fn pair(setup: &TlsSetup, name: &str) -> (TlsLink, TlsLink) {
        (TlsLink::accept(setup).unwrap(), TlsLink::connect(setup, name, &[]).unwrap())
    }

    /// Carries what one has to say to the other, in pieces of `step` octets. Answers the plaintext.
    fn carry(from: &mut TlsLink, to: &mut TlsLink, step: usize) -> Vec<u8> {
        let mut wire = Vec::new();
        assert!(from.write_to(&mut wire).unwrap());
        let (mut plain, mut into) = (Vec::new(), vec![0; 5000]);
        for piece in wire.chunks(step) {
            let mut input = piece;
            loop {
                let n = to.receive(&mut input, &mut into).unwrap();
                plain.extend_from_slice(&into[..n]);
                if n == 0 {
                    break;
                }
            }
            assert!(input.is_empty());
        }
        plain
    }

    fn shake_hands(server: &mut TlsLink, client: &mut TlsLink, step: usize) {
        for _ in 0..4 {
            carry(client, server, step);
            carry(server, client, step);
        }
        assert!(!server.connection.is_handshaking() && !client.connection.is_handshaking());
    }

    fn encrypt(link: &mut TlsLink, parts: &[&[u8]]) -> usize {
        let pieces: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        link.encrypt(&pieces)
    }

    #[test]
    fn plaintext_comes_out_as_it_went_in_however_the_wire_is_cut() {
        let (setup, _) = setup("localhost");
        for step in [1, 7, 1000, 1 << 20] {
            let (mut server, mut client) = pair(&setup, "localhost");
            shake_hands(&mut server, &mut client, step);
            let long = vec![b'x'; 40_000];
            let n = encrypt(&mut client, &[b"one, ", b"two, ", &long]);
            assert_eq!(n, 10 + long.len());
            let plain = carry(&mut client, &mut server, step);
            assert!(plain.starts_with(b"one, two, x") && plain.len() == n, "{step}");
            encrypt(&mut server, &[b"back"]);
            assert_eq!(carry(&mut server, &mut client, step), b"back");
        }
    }

    #[test]
    fn pieces_go_together_into_few_records() {
        let (setup, _) = setup("localhost");
        let (mut server, mut client) = pair(&setup, "localhost");
        shake_hands(&mut server, &mut client, 1 << 20);
        let parts = vec![&[b'm'; 900][..]; 36];
        assert_eq!(encrypt(&mut server, &parts), 32_400);
        let mut wire = Vec::new();
        server.write_to(&mut wire).unwrap();
        let mut records = Vec::new();
        let mut rest = &wire[..];
        while let [23, 3, 3, high, low, ..] = rest {
            let len = usize::from(*high) << 8 | usize::from(*low);
            records.push(len);
            rest = &rest[5 + len..];
        }
        assert!(rest.is_empty() && records.len() == 2 && records[0] > 16_000, "{records:?}");
    }

    #[test]
    fn both_ends_are_told_once_what_the_other_has_shown() {
        let (setup, identity) = setup("localhost");
        let (mut server, mut client) = pair(&setup, "localhost");
        assert_eq!((server.take_handshake(), client.take_handshake()), (None, None));
        shake_hands(&mut server, &mut client, 1 << 20);
        let (at_server, at_client) =
            (server.take_handshake().unwrap().unwrap(), client.take_handshake().unwrap().unwrap());
        assert!(at_client.named && !at_server.named);
        for shown in [&at_server, &at_client] {
            assert!(identity.fingerprints.iter().all(|one| shown.fingerprints.contains(one)));
        }
        assert_eq!((server.take_handshake(), client.take_handshake()), (None, None));
        let mut server = TlsLink::accept(&setup).unwrap();
        let mut client = TlsLink::connect(&setup, "other.example", &identity.fingerprints).unwrap();
        shake_hands(&mut server, &mut client, 1 << 20);
        assert!(!client.take_handshake().unwrap().unwrap().named, "nobody has asked what it is called");
    }

    #[test]
    fn another_certificate_is_shown_from_the_next_handshake_on() {
        let (ours, old) = setup("localhost");
        let (_, new) = setup("localhost");
        ours.replace(&new);
        let mut server = TlsLink::accept(&ours).unwrap();
        let mut client = TlsLink::connect(&ours, "localhost", &new.fingerprints).unwrap();
        shake_hands(&mut server, &mut client, 1 << 20);
        let shown = client.take_handshake().unwrap().unwrap();
        assert!(
            shown.fingerprints.contains(&new.fingerprints[0]) && !shown.fingerprints.contains(&old.fingerprints[0])
        );
    }

    /// A switch with a connection that so many octets of responses wait for, at least.
    fn waiting(len: usize, now: Instant) -> (Switch, ConnectionId) {
        let mut switch = Switch::new(crate::switch::Settings::default(), [7; 32]);
        let id = switch.adopt("192.0.2.1:7".parse().unwrap(), true, now);
        let request =
            b"MSRP abcd SEND\r\nTo-Path: msrps://h:1/s;tcp\r\nFrom-Path: msrps://h:2/t;tcp\r\nMessage-ID: m\r\n\
            Content-Type: a/b\r\n\r\nx\r\n-------abcd$\r\n";
        let mut octets = Vec::new();
        while switch.gather(id, &mut octets, usize::MAX) < len {
            octets.clear();
            switch.handle_bytes(id, &bytes::Bytes::from_static(request), now).unwrap();
        }
        (switch, id)
    }

    #[test]
    fn one_turn_encrypts_as_much_as_the_limit_says() {
        let (setup, _) = setup("localhost");
        let (mut server, mut client) = pair(&setup, "localhost");
        shake_hands(&mut server, &mut client, 1 << 20);
        let now = Instant::now();
        let (mut switch, id) = waiting(TLS_TURN_BYTES_MAX + 1000, now);
        let mut wire = Vec::new();
        assert_eq!(server.flush(&mut switch, id, &mut Pieces::default(), &mut wire, now), Flushed::Done);
        let (mut plain, mut input, mut into) = (0, &wire[..], vec![0; 50_000]);
        while let n @ 1.. = client.receive(&mut input, &mut into).unwrap() {
            plain += n;
        }
        assert_eq!(plain, TLS_TURN_BYTES_MAX);
        assert!(switch.gather(id, &mut Vec::new(), usize::MAX) >= 1000, "the rest waits for its turn");
    }

    #[test]
    fn as_much_ciphertext_waits_as_the_limit_says() {
        let (setup, _) = setup("localhost");
        let (mut server, mut client) = pair(&setup, "localhost");
        shake_hands(&mut server, &mut client, 1 << 20);
        let plain = vec![b'x'; 2 * TLS_WAITING_BYTES_MAX];
        let taken = encrypt(&mut server, &[&plain]);
        assert!(taken <= TLS_WAITING_BYTES_MAX && taken > TLS_WAITING_BYTES_MAX - 20_000, "{taken}");
        assert_eq!(encrypt(&mut server, &[&plain]), 0);
    }

    /// Takes so much and no more.
    struct Narrow(Vec<u8>, usize);

    impl Write for Narrow {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let n = octets.len().min(self.1 - self.0.len());
            if n == 0 && !octets.is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.0.extend_from_slice(&octets[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_socket_keeps_ciphertext_waiting_and_the_end_behind_it() {
        let (setup, _) = setup("localhost");
        let (mut server, mut client) = pair(&setup, "localhost");
        shake_hands(&mut server, &mut client, 1 << 20);
        encrypt(&mut server, &[&[b'x'; 3000]]);
        let mut narrow = Narrow(Vec::new(), 1000);
        assert!(!server.write_to(&mut narrow).unwrap());
        assert!(!server.end(&mut narrow), "it waits");
        narrow.1 = 1 << 20;
        assert!(server.write_to(&mut narrow).unwrap());
        let (mut input, mut into) = (&narrow.0[..], vec![0; 8000]);
        assert_eq!(client.receive(&mut input, &mut into).unwrap(), 3000);
        assert!(client.peer_has_closed());
        assert!(server.end(&mut narrow), "asked again, it goes");
    }

    #[test]
    fn what_is_no_tls_is_an_error_and_is_told_the_peer() {
        let (setup, _) = setup("localhost");
        let mut server = TlsLink::accept(&setup).unwrap();
        let mut input = &b"MSRP abcd SEND\r\nTo-Path: msrps://h:1/s;tcp\r\n"[..];
        assert!(server.receive(&mut input, &mut [0; 100]).is_err());
        let mut wire = Vec::new();
        server.write_to(&mut wire).unwrap();
        assert_eq!(wire.first(), Some(&21), "an alert");
    }
}
