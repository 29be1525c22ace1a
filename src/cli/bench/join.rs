//! Joining: the calls of the bench's members, all over one SIP connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::wire::Member;
use crate::msrp::{ByteRange, Continuation, FailureReport, Path, encode};
use crate::sdp::{Capabilities, ChatroomTokens, Description, Origin, OurMedia, Setup};
use crate::sip::{Ask, Framer, HeaderName, Message, Method, Response, sequence, tag, uri};

/// The bench's side of its calls.
pub struct Caller {
    stream: TcpStream,
    framer: Framer,
    server: SocketAddr,
    room: String,
    run: u64,
}

/// What a server on loopback needs no tracking for: who answers what.
const CAPABILITIES: Capabilities = Capabilities { tls: false, listen: false, connect: true };

impl Caller {
    /// Connects to a server's SIP over TCP. `run` makes the room's name unique.
    ///
    /// # Errors
    /// As the socket.
    pub fn connect(server: SocketAddr, run: u64) -> io::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        let room = format!("sip:bench-{run}@{}", host(server));
        Ok(Self { stream, framer: Framer::default(), server, room, run })
    }

    /// The URI of the bench's room.
    #[must_use]
    pub fn room(&self) -> &str {
        &self.room
    }

    /// Joins as member `number` and binds its session.
    ///
    /// # Errors
    /// As the sockets, and where the server does not take the call.
    pub fn join(&mut self, number: usize) -> io::Result<Member> {
        let from = format!("sip:member-{number:05}@{}", host(self.server));
        let path =
            Path::parse(format!("msrp://127.0.0.1:9/bench{number:05};tcp").as_bytes()).map_err(io::Error::other)?;
        let offer = OurMedia {
            host: "127.0.0.1",
            port: 9,
            path: &path,
            accept_wrapped_types: &["*".into()],
            chatroom: ChatroomTokens { nickname: true, private_messages: true },
            max_size: 0,
            setup: Setup::Active,
            subject: None,
        };
        let body = offer.offer(Origin { id: 1, version: 1 });
        let invite = self.request(Method::Invite, 1, number, &from, None)?.body("application/sdp", body);
        self.write(&invite)?;
        let answer = self.answer_to(1)?;
        if answer.status.code() != 200 {
            return Err(io::Error::other(format!("member {number} was answered {}", answer.status.code())));
        }
        let to_tag = tag(&answer.headers, &HeaderName::To);
        let ack = self.request(Method::Ack, 1, number, &from, to_tag.as_deref())?.empty();
        self.write(&ack)?;
        let description = Description::parse(answer.body()).map_err(io::Error::other)?;
        let media = description.answered(CAPABILITIES).map_err(io::Error::other)?;
        let mut member = Member { stream: self.msrp(&media.path)?, from, to_path: media.path, from_path: path };
        member.bind()?;
        Ok(member)
    }

    fn msrp(&self, path: &Path) -> io::Result<TcpStream> {
        let uri = path.iter().next().ok_or_else(|| io::Error::other("the answer has no path"))?;
        let (host, port) = uri.host_and_port();
        let stream = TcpStream::connect((host, port.unwrap_or(2855)))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn request(&self, method: Method, cseq: u32, number: usize, from: &str, to_tag: Option<&str>) -> io::Result<Ask> {
        let room = uri(&self.room).ok_or_else(|| io::Error::other("the room's URI"))?;
        let local = self.stream.local_addr()?;
        let branch = format!("z9hG4bK-{}-{number}-{cseq}-{method}", self.run);
        let to = to_tag.map_or_else(|| format!("<{}>", self.room), |tag| format!("<{}>;tag={tag}", self.room));
        Ok(Ask::new(method.clone(), room)
            .header(HeaderName::Via, format!("SIP/2.0/TCP {local};branch={branch}"))
            .header(HeaderName::From, format!("<{from}>;tag=b{number}"))
            .header(HeaderName::To, to)
            .header(HeaderName::CallId, format!("{}-{number}@bench", self.run))
            .header(HeaderName::CSeq, format!("{cseq} {method}"))
            .header(HeaderName::Contact, format!("<sip:bench@{local};transport=tcp>")))
    }

    fn write(&mut self, request: &crate::sip::Request) -> io::Result<()> {
        let mut out = Vec::new();
        request.write_to(&mut out);
        self.stream.write_all(&out)
    }

    /// Reads until the final response to a request of ours. Requests of the server are not expected while joining.
    fn answer_to(&mut self, cseq: u32) -> io::Result<Response> {
        let mut buffer = [0; 8192];
        loop {
            let n = self.stream.read(&mut buffer)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            for message in self.framer.push(&buffer[..n]).map_err(io::Error::other)? {
                let Message::Response(response) = message else { continue };
                if response.status.is_final() && sequence(&response.headers) == Some(cseq) {
                    return Ok(response);
                }
            }
        }
    }
}

fn host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

impl Member {
    /// Sends the empty SEND that binds the session, and waits for its answer.
    fn bind(&mut self) -> io::Result<()> {
        let mut out = Vec::new();
        encode::send(
            &mut out,
            &encode::Send {
                tid: b"bind0000",
                to_path: self.to_path.as_str().as_bytes(),
                from_path: self.from_path.as_str().as_bytes(),
                message_id: b"bind",
                byte_range: ByteRange { start: 1, end: Some(0), total: Some(0) },
                success_report: false,
                failure_report: FailureReport::Yes,
                body: None,
                continuation: Continuation::Complete,
            },
        );
        self.stream.write_all(&out)?;
        let mut answer = Vec::new();
        let mut octet = [0];
        while !answer.ends_with(b"-------bind0000$\r\n") {
            self.stream.read_exact(&mut octet)?;
            answer.push(octet[0]);
        }
        if answer.starts_with(b"MSRP bind0000 200") {
            Ok(())
        } else {
            Err(io::Error::other(format!("the session was not bound: {}", answer.escape_ascii())))
        }
    }
}
