//! The connection that a load runs over, with TLS or without, without blocking.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::ops::Range;
use std::sync::Arc;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::ServerName;

/// A connection of a member.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    tls: Option<Box<Tls>>,
}

#[derive(Debug)]
struct Tls {
    connection: ClientConnection,
    /// What one read of the socket takes, and where in it what rustls has not taken yet stands.
    cipher: Vec<u8>,
    waiting: Range<usize>,
}

/// Octets of ciphertext that one read takes.
const CIPHER_BYTES: usize = 32 * 1024;

impl Stream {
    /// One without TLS.
    ///
    /// # Errors
    /// Returns an error if the socket fails.
    pub fn plain(stream: StdStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { socket: TcpStream::from_std(stream), tls: None })
    }

    /// Sets out to connect. What is written before that is done waits.
    ///
    /// # Errors
    /// Returns an error if the socket fails.
    pub fn connect(address: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> io::Result<Self> {
        let tls = tls.map(|config| Tls::new(config.clone(), address)).transpose()?.map(Box::new);
        Ok(Self { socket: TcpStream::connect(address)?, tls })
    }

    /// Has a poll tell of it, at edges: whatever comes is to be read until nothing is left.
    ///
    /// # Errors
    /// Returns an error if the registration fails.
    pub fn register(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        registry.register(&mut self.socket, token, interest)
    }

    /// Has a poll tell of it no more.
    ///
    /// # Errors
    /// Returns an error if the registration fails.
    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.socket)
    }

    /// Our end.
    ///
    /// # Errors
    /// Returns an error if the socket fails.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Sends at once whatever is written.
    ///
    /// # Errors
    /// Returns an error if the socket fails.
    pub fn set_nodelay(&self) -> io::Result<()> {
        self.socket.set_nodelay(true)
    }

    /// The socket itself, of a connection without TLS.
    ///
    /// # Errors
    /// Returns an error if the connection has TLS.
    pub fn into_plain(self) -> io::Result<StdStream> {
        match self.tls {
            None => Ok(self.socket.into()),
            Some(_) => Err(io::Error::other("this load is not made for TLS")),
        }
    }

    /// Sends ciphertext that waits, as far as there is room. To be called whenever there is room again.
    ///
    /// # Errors
    /// Returns an error if the socket fails.
    pub fn push(&mut self) -> io::Result<()> {
        self.tls.as_mut().map_or(Ok(()), |tls| tls.push(&mut self.socket))
    }
}

impl Read for Stream {
    /// Less than `into` holds means that the socket is empty.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.read(into),
            Some(tls) => tls.read(&mut self.socket, into),
        }
    }
}

impl Write for Stream {
    /// What is taken may wait as ciphertext, for [`Stream::push`].
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.write(from),
            Some(tls) => tls.write(&mut self.socket, from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push()
    }
}

impl Tls {
    fn new(config: Arc<ClientConfig>, address: SocketAddr) -> io::Result<Self> {
        let name = ServerName::IpAddress(address.ip().into());
        let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Ok(Self { connection, cipher: vec![0; CIPHER_BYTES], waiting: 0..0 })
    }

    fn read(&mut self, socket: &mut TcpStream, into: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        loop {
            while let Ok(n @ 1..) = self.connection.reader().read(&mut into[filled..]) {
                filled += n;
            }
            if filled == into.len() {
                return Ok(filled);
            }
            if self.waiting.is_empty() {
                match socket.read(&mut self.cipher) {
                    Ok(0) => return Ok(filled),
                    Ok(n) => self.waiting = 0..n,
                    Err(error) if filled > 0 && error.kind() == ErrorKind::WouldBlock => return Ok(filled),
                    Err(error) => return Err(error),
                }
            }
            match self.connection.read_tls(&mut &self.cipher[self.waiting.clone()])? {
                // Behind a close_notify nothing counts.
                0 => self.waiting = 0..0,
                n => self.waiting.start += n,
            }
            self.connection.process_new_packets().map_err(io::Error::other)?;
            self.push(socket)?;
        }
    }

    fn write(&mut self, socket: &mut TcpStream, from: &[u8]) -> io::Result<usize> {
        // First, so that nothing taken means that the socket is full, which is told of when it is over.
        self.push(socket)?;
        let n = self.connection.writer().write(from)?;
        self.push(socket)?;
        if n == 0 && !from.is_empty() { Err(ErrorKind::WouldBlock.into()) } else { Ok(n) }
    }

    fn push(&mut self, socket: &mut TcpStream) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(socket) {
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
