//! A client that joins a chat room and echoes what is said in it:
//! `cargo run -p parlor-proto --example echo -- 127.0.0.1:5060 sip:lobby@127.0.0.1`
//!
//! It joins by SIP over TCP, connects by MSRP, and echoes until the room closes the connection. A client for daily use also answers
//! requests within its call, authenticates itself, and has timeouts.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Read, Write};
use std::net::TcpStream;

use parlor_proto::msrp::{self, ChunkParser, Continuation, Event, FailureReport, Path, Status, encode};
use parlor_proto::sdp::{Capabilities, ChatroomTokens, Description, LocalMedia, LocalTerms, Origin, Setup};
use parlor_proto::sip::{self, Framer, HeaderName, Message, Method, RequestBuilder, Response};
use parlor_proto::{cpim, uri::Aor};

type Error = Box<dyn std::error::Error>;

#[allow(dead_code, reason = "a test includes this file and calls `run`")]
fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, room] = arguments.as_slice() else { return Err("usage: echo SERVER:PORT sip:ROOM@HOST".into()) };
    run(server, room)
}

/// Joins `room` at the SIP server `server`, and echoes until the room closes the connection.
pub fn run(server: &str, room: &str) -> Result<(), Error> {
    // The call lasts as long as its SIP connection.
    let mut sip = TcpStream::connect(server)?;
    let host = sip.local_addr()?.ip();
    let own = format!("sip:echo@{host}");
    // The last part identifies our session. Nobody connects to us: port 9 (RFC 4145 §4.1).
    let local = Path::parse(format!("msrp://{host}:9/{:016x};tcp", random()).as_bytes())?;
    let (remote, mut msrp) = join(&mut sip, room, &own, &local)?;

    let (mut parser, mut buffer, mut out) = (ChunkParser::new(), [0; 4096], Vec::new());
    let (mut response, mut id, mut messages) = (Vec::new(), Vec::new(), HashMap::<Vec<u8>, Vec<u8>>::new());
    // An empty SEND binds our session to the connection (RFC 4975 §5.4).
    send(&mut out, &local, &remote, None);
    loop {
        msrp.write_all(&out)?;
        out.clear();
        let len = msrp.read(&mut buffer)?;
        if len == 0 {
            return Ok(());
        }
        let mut input = &buffer[..len];
        while let Some(event) = parser.next(&mut input)? {
            match event {
                Event::Head(head) => {
                    response.clear();
                    id = head.message_id.unwrap_or_default().to_vec();
                    if head.method() == Some(msrp::Method::Send) && head.failure_report == FailureReport::Yes {
                        let previous_hop = msrp::path_uris(head.from_path).next().unwrap_or_default();
                        encode::response(&mut response, head.tid, Status::OK, previous_hop, local.as_str().as_bytes());
                    }
                }
                Event::Bodiless(_) => out.append(&mut response),
                // A message may have several chunks, with chunks of other messages between them.
                Event::Body { piece, end } => {
                    messages.entry(id.clone()).or_default().extend_from_slice(piece);
                    let Some(continuation) = end else { continue };
                    out.append(&mut response);
                    if continuation == Continuation::More {
                        continue;
                    }
                    let echo = messages.remove(&id).and_then(|message| echo(&message, &own, room));
                    if let Some(echo) = echo.filter(|_| continuation == Continuation::Complete) {
                        send(&mut out, &local, &remote, Some((b"message/cpim", &echo)));
                    }
                }
            }
        }
    }
}

/// Calls the room, and connects to where its answer says. Returns the room's path and the connection.
fn join(sip: &mut TcpStream, room: &str, own: &str, local: &Path) -> Result<(Path, TcpStream), Error> {
    let (address, call_id) = (sip.local_addr()?, format!("{:016x}", random()));
    let request = |method: Method, target: sip::Uri, to: &str| {
        let cseq = format!("1 {method}");
        RequestBuilder::new(method, target)
            .header(HeaderName::Via, format!("SIP/2.0/TCP {address};branch=z9hG4bK{:016x}", random()))
            .header(HeaderName::From, format!("<{own}>;tag={call_id}"))
            .header(HeaderName::To, to.to_owned())
            .header(HeaderName::CallId, call_id.clone())
            .header(HeaderName::CSeq, cseq)
            .header(HeaderName::Contact, format!("<sip:echo@{address};transport=tcp>"))
    };
    let (host, types) = (address.ip().to_string(), ["text/plain".to_owned()]);
    let chatroom = ChatroomTokens { nickname: false, private_messages: true };
    let terms =
        LocalTerms { host: &host, ipv6: false, accept_wrapped_types: &types, chatroom, max_size: 0, subject: None };
    let media = LocalMedia { terms, port: 9, path: local, setup: Setup::Active, fingerprints: &[] };
    let invite = request(Method::Invite, sip::uri(room).ok_or("not a SIP URI")?, &format!("<{room}>"));
    let invite = invite.body("application/sdp", media.offer(Origin { id: 1, version: 1 }));
    sip.write_all(&Message::Request(invite).to_bytes())?;
    let response = final_response(sip)?;
    let mut contacts = sip::addresses(&response.headers, &HeaderName::Contact).unwrap_or_default();
    let (200, Some(contact)) = (response.status.code(), contacts.pop()) else {
        return Err(format!("the room answered {}", response.status.code()).into());
    };
    // The To of the response has the room's tag, which makes it the same call.
    let to = sip::text(&response.headers, &HeaderName::To).unwrap_or_default();
    sip.write_all(&Message::Request(request(Method::Ack, contact.uri, &to).empty()).to_bytes())?;
    let answer = sip::session_description(&response.headers, response.body())?.ok_or("no answer")?;
    let capabilities = Capabilities { plain: true, tls: false, listen: false, connect: true };
    let media = Description::parse(&answer)?.answered_media(capabilities)?;
    Ok((media.path.clone(), TcpStream::connect(media.next_hop()?)?))
}

fn final_response(sip: &mut TcpStream) -> Result<Response, Error> {
    let (mut framer, mut buffer) = (Framer::new(), [0; 4096]);
    loop {
        let len = sip.read(&mut buffer)?;
        let framed = framer.push(&buffer[..len]).into_iter();
        let mut responses = framed.filter_map(|framed| framed.message()?.as_response().cloned());
        match responses.find(|response| response.status.code() >= 200) {
            Some(response) => return Ok(response),
            None if len == 0 => return Err("the SIP connection has ended".into()),
            None => {}
        }
    }
}

/// The echo of a wrapped message, to the room or in private; `None` if the message is not plain text.
fn echo(message: &[u8], own: &str, room: &str) -> Option<Vec<u8>> {
    let wrapper = cpim::parse_complete(message).ok()?;
    let is_private = Aor::parse(wrapper.to().ok()?) != Aor::parse(room.as_bytes());
    let to = if is_private { std::str::from_utf8(wrapper.from().ok()?).ok()? } else { room };
    let mut echo = cpim::encode(own, to, None, "text/plain;charset=utf-8");
    echo.extend_from_slice(&message[wrapper.content_offset..]);
    (wrapper.media_type() == Some("text/plain")).then_some(echo)
}

/// Writes a message in one chunk: its Content-Type and its octets, or nothing.
fn send(out: &mut Vec<u8>, local: &Path, remote: &Path, body: Option<(&[u8], &[u8])>) {
    let octets = body.map_or(&b""[..], |(_, octets)| octets);
    // The body must not contain the end-line of its chunk.
    let mut ids = std::iter::repeat_with(|| encode::random_id(random()));
    let tid = ids.find(|tid| !msrp::contains_end_line(octets, tid)).unwrap_or_default();
    let (to_path, from_path) = (remote.as_str().as_bytes(), local.as_str().as_bytes());
    encode::send(out, &encode::Send::complete(&tid, to_path, from_path, &encode::random_id(random()), body));
}

/// 64 random bits, from the one source of them in the standard library.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
