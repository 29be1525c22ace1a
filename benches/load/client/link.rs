//! A socket that SIP goes over, without blocking.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::UdpSocket;
use mio::{Interest, Poll, Token};

use crate::client::sip::{SipMessage, Transport};
use crate::client::stream::Stream;
use crate::client::tls::client_config;

/// A connection or a socket.
pub enum Link {
    /// A connection, what came on it, and what could not be written yet.
    Stream(Stream, Vec<u8>, Vec<u8>),
    /// A socket.
    Udp(UdpSocket),
}

/// How long a server may take to accept a connection.
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);
const READ_BYTES_MAX: usize = 64 * 1024;

impl Link {
    /// Reaches a server.
    ///
    /// # Errors
    /// Returns an error if the socket fails.
    pub fn new(server: SocketAddr, transport: Transport, poll: &Poll, token: Token) -> io::Result<Self> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match transport {
            Transport::Tcp => {
                let stream = std::net::TcpStream::connect_timeout(&server, CONNECTED_WITHIN)
                    .map_err(|error| io::Error::new(error.kind(), format!("no server at {server}: {error}")))?;
                stream.set_nodelay(true)?;
                let mut stream = Stream::plain(stream)?;
                stream.register(poll.registry(), token, interest)?;
                Ok(Self::Stream(stream, Vec::new(), Vec::new()))
            }
            Transport::Tls => {
                let mut stream = Stream::connect(server, Some(&client_config()?))?;
                stream.set_nodelay()?;
                stream.register(poll.registry(), token, interest)?;
                Ok(Self::Stream(stream, Vec::new(), Vec::new()))
            }
            Transport::Udp => {
                let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = socket2::Socket::from(std::net::UdpSocket::bind(any)?);
                // Answers come in bursts.
                socket.set_recv_buffer_size(4 * 1024 * 1024)?;
                socket.connect(&server.into())?;
                socket.set_nonblocking(true)?;
                let mut socket = UdpSocket::from_std(socket.into());
                poll.registry().register(&mut socket, token, Interest::READABLE)?;
                Ok(Self::Udp(socket))
            }
        }
    }

    /// Where answers come.
    ///
    /// # Errors
    /// Returns an error if the socket fails.
    pub fn local(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Stream(stream, ..) => stream.local_addr(),
            Self::Udp(socket) => socket.local_addr(),
        }
    }

    /// Sends a message, or keeps it until it can be. A datagram for which there is no room is lost, as any may be.
    ///
    /// # Errors
    /// Returns an error if the socket fails.
    pub fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Stream(_, _, out) => {
                out.extend_from_slice(message);
                self.flush()
            }
            Self::Udp(socket) => match socket.send(message) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
                _ => Ok(()),
            },
        }
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// Returns an error if the socket fails.
    pub fn flush(&mut self) -> io::Result<()> {
        let Self::Stream(stream, _, out) = self else { return Ok(()) };
        let mut sent = 0;
        while sent < out.len() {
            match stream.write(&out[sent..]) {
                Ok(n) => sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        out.drain(..sent);
        stream.push()
    }

    /// Reads until nothing is left, and hands over each message.
    ///
    /// # Errors
    /// Returns an error if the socket fails or the server has closed it.
    pub fn receive(&mut self, mut each: impl FnMut(&SipMessage<'_>)) -> io::Result<()> {
        let mut buffer = [0; READ_BYTES_MAX];
        loop {
            let read = match self {
                Self::Stream(stream, ..) => stream.read(&mut buffer),
                Self::Udp(socket) => socket.recv(&mut buffer),
            };
            let n = match read {
                Ok(n) => n,
                // A handshake may not have begun yet.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => return Ok(()),
                Err(error) => return Err(error),
            };
            let Self::Stream(_, input, _) = self else {
                SipMessage::read(&buffer[..n]).iter().for_each(|(message, _)| each(message));
                continue;
            };
            if n == 0 {
                return Err(io::Error::other("the server has closed the SIP connection"));
            }
            input.extend_from_slice(&buffer[..n]);
            let mut used = 0;
            while let Some((message, len)) = SipMessage::read(&input[used..]) {
                each(&message);
                used += len;
            }
            input.drain(..used);
        }
    }
}
