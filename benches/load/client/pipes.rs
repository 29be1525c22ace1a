//! The MSRP connections of a load's calls: each session binds on one, and what else comes is read and forgotten.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mio::{Interest, Registry, Token};
use rustls::ClientConfig;

use crate::client::layout::chunk_len;
use crate::client::stream::Stream;
use parlor_proto::msrp::{ByteRange, Continuation, FailureReport, Path, encode};

/// All of them.
pub struct Pipes {
    first_token: usize,
    sessions_per_connection: usize,
    registry: Registry,
    /// What TLS is set up with, if the paths want it.
    tls: Option<Arc<ClientConfig>>,
    pipes: Vec<Option<Pipe>>,
    free: Vec<usize>,
    /// The one that takes more sessions still.
    open: Option<usize>,
}

struct Pipe {
    stream: Stream,
    address: SocketAddr,
    sessions: usize,
    input: Vec<u8>,
    out: Vec<u8>,
}

const READ_BYTES_MAX: usize = 64 * 1024;
/// The beginning of a binding's transaction id; the call's number follows.
const BIND: &str = "bind";

impl Pipes {
    /// None yet; their tokens begin at `first_token`.
    #[must_use]
    pub fn new(
        registry: Registry,
        first_token: usize,
        sessions_per_connection: usize,
        tls: Option<Arc<ClientConfig>>,
    ) -> Self {
        Self { first_token, sessions_per_connection, registry, tls, pipes: Vec::new(), free: Vec::new(), open: None }
    }

    /// Binds a call's session to the server's path. Answers the connection's place.
    ///
    /// # Errors
    /// Returns an error if the socket fails or `to_path` is no MSRP path.
    pub fn bind(&mut self, call: usize, to_path: &str, from_path: &str) -> io::Result<usize> {
        let address = address_of(to_path)?;
        let at = match self.open.filter(|at| self.pipes[*at].as_ref().is_some_and(|pipe| pipe.address == address)) {
            Some(at) => at,
            None => self.connect(address)?,
        };
        let pipe = self.pipes[at].as_mut().ok_or_else(|| io::Error::other("a connection is gone"))?;
        pipe.sessions += 1;
        self.open = Some(at).filter(|_| pipe.sessions < self.sessions_per_connection);
        bind(&mut pipe.out, call, to_path, from_path);
        pipe.flush()?;
        Ok(at)
    }

    fn connect(&mut self, address: SocketAddr) -> io::Result<usize> {
        let at = self.free.pop().unwrap_or(self.pipes.len());
        let mut stream = Stream::connect(address, self.tls.as_ref())?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        stream.register(&self.registry, Token(self.first_token + at), interest)?;
        stream.set_nodelay()?;
        let pipe = Some(Pipe { stream, address, sessions: 0, input: Vec::new(), out: Vec::new() });
        if at == self.pipes.len() {
            self.pipes.push(pipe);
        } else {
            self.pipes[at] = pipe;
        }
        Ok(at)
    }

    /// Gives a connection away.
    ///
    /// # Errors
    /// Returns an error if the socket fails or there is no such connection.
    pub fn take(&mut self, at: usize) -> io::Result<Stream> {
        let pipe = self.pipes.get_mut(at).and_then(Option::take);
        let mut stream = pipe.ok_or_else(|| io::Error::other("a connection is gone"))?.stream;
        stream.deregister(&self.registry)?;
        self.free.push(at);
        Ok(stream)
    }

    /// A session has ended. A connection of its own is closed.
    pub fn release(&mut self, at: usize) {
        if self.sessions_per_connection == 1 {
            drop(self.take(at));
        }
    }

    /// Reads and writes what can be, and tells the call and status of each answer to a binding.
    ///
    /// # Errors
    /// Returns an error if the socket fails or the input is not MSRP.
    pub fn handle(&mut self, token: usize, mut bound: impl FnMut(usize, u16)) -> io::Result<()> {
        let Some(pipe) = self.pipes.get_mut(token - self.first_token).and_then(Option::as_mut) else { return Ok(()) };
        pipe.flush()?;
        let mut buffer = [0; READ_BYTES_MAX];
        loop {
            match pipe.stream.read(&mut buffer) {
                // The server closes a connection whose last session has ended.
                Ok(0) => return Ok(()),
                Ok(n) => pipe.input.extend_from_slice(&buffer[..n]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => break,
                Err(error) => return Err(error),
            }
        }
        let mut used = 0;
        while let Some(len) = chunk_len(&pipe.input[used..]).map_err(io::Error::other)? {
            if let Some((call, status)) = answer(&pipe.input[used..used + len]) {
                bound(call, status);
            }
            used += len;
        }
        pipe.input.drain(..used);
        Ok(())
    }
}

impl Pipe {
    fn flush(&mut self) -> io::Result<()> {
        self.stream.push()?;
        let mut sent = 0;
        while sent < self.out.len() {
            match self.stream.write(&self.out[sent..]) {
                Ok(n) => sent += n,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => break,
                Err(error) => return Err(error),
            }
        }
        self.out.drain(..sent);
        Ok(())
    }
}

fn address_of(path: &str) -> io::Result<SocketAddr> {
    let path = Path::parse(path.as_bytes()).map_err(io::Error::other)?;
    let uri = path.iter().next().ok_or_else(|| io::Error::other("the answer has no path"))?;
    let (host, port) = uri.host_and_port();
    let host: IpAddr = host.trim_matches(['[', ']']).parse().map_err(io::Error::other)?;
    Ok(SocketAddr::new(host, port.unwrap_or(2855)))
}

/// The empty SEND that binds a session.
fn bind(out: &mut Vec<u8>, call: usize, to_path: &str, from_path: &str) {
    let tid = format!("{BIND}{call:07}");
    encode::send(
        out,
        &encode::Send {
            tid: tid.as_bytes(),
            to_path: to_path.as_bytes(),
            from_path: from_path.as_bytes(),
            message_id: tid.as_bytes(),
            byte_range: ByteRange { start: 1, end: Some(0), total: Some(0) },
            success_report: false,
            failure_report: FailureReport::Yes,
            body: None,
            continuation: Continuation::Complete,
        },
    );
}

/// The call and the status, of an answer to a binding.
fn answer(chunk: &[u8]) -> Option<(usize, u16)> {
    let line = chunk.split(|octet| *octet == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ').skip(1);
    let call = words.next()?.strip_prefix(BIND)?.parse().ok()?;
    Some((call, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_its_call() {
        assert_eq!(answer(b"MSRP bind0000012 200 OK\r\n"), Some((12, 200)));
        assert_eq!(answer(b"MSRP bind0000012 SEND\r\n"), None);
        assert_eq!(answer(b"MSRP a7 200\r\n"), None);
        let mut out = Vec::new();
        bind(&mut out, 12, "msrp://a:1/x;tcp", "msrp://b:1/y;tcp");
        assert_eq!(chunk_len(&out), Ok(Some(out.len())));
        assert_eq!(address_of("msrp://127.0.0.1:7/x;tcp").unwrap(), ([127, 0, 0, 1], 7).into());
    }
}
