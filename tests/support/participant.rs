//! One participant: a SIP call over TCP and an MSRP session.

use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::Server;

/// Only a failing test waits this long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A participant of a room.
pub struct Participant {
    /// What tells it from the others, even from those of the same user.
    pub name: String,
    pub user: String,
    pub room: String,
    pub to_path: String,
    pub from_path: String,
    /// The SDP that it was answered.
    pub answer: String,
    sip: Sip,
    pub msrp: TcpStream,
    input: Vec<u8>,
    /// Chunks that came while something else was waited for.
    kept: VecDeque<Chunk>,
    partial: HashMap<String, Vec<u8>>,
    count: u32,
    call: Call,
}

struct Call {
    contact: String,
    /// From and To of requests from here, and what ties them together.
    local: String,
    remote: String,
    id: String,
}

/// A SIP connection.
pub struct Sip {
    stream: TcpStream,
    input: Vec<u8>,
}

/// One chunk off the wire.
#[derive(Debug, Clone)]
pub struct Chunk {
    pub tid: String,
    /// `SEND`, `REPORT`, or a status.
    pub what: String,
    pub headers: String,
    pub body: Vec<u8>,
    pub flag: char,
}

impl Chunk {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn connect(path: &str) -> TcpStream {
    let authority = path.split('/').nth(2).unwrap();
    let msrp = TcpStream::connect(authority).unwrap();
    msrp.set_read_timeout(Some(PATIENCE)).unwrap();
    msrp
}

impl Sip {
    pub fn connect(address: &str) -> Self {
        Self::on(TcpStream::connect(address).unwrap())
    }

    pub fn on(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, input: Vec::new() }
    }

    /// Answers a request, with a description where there is one. A To without a tag gets this one.
    pub fn reply(&mut self, request: &str, status: &str, tag: &str, body: &str) {
        let head = request.split("\r\n\r\n").next().unwrap();
        let echo =
            |line: &&str| ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name));
        let tagged = |line: &str| {
            if line.starts_with("To:") && !line.contains(";tag=") {
                format!("{line};tag={tag}\r\n")
            } else {
                format!("{line}\r\n")
            }
        };
        let echoed: String = head.lines().filter(echo).map(tagged).collect();
        let local = self.stream.local_addr().unwrap();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let contact = format!("Contact: <sip:me@{local};transport=tcp>\r\n");
        self.write(&format!("SIP/2.0 {status}\r\n{echoed}{contact}{kind}Content-Length: {}\r\n\r\n{body}", body.len()));
    }

    /// A request within a call, with its body.
    #[allow(clippy::too_many_arguments, reason = "what a request has")]
    pub fn request(
        &mut self,
        method: &str,
        uri: &str,
        from: &str,
        to: &str,
        call: &str,
        cseq: u32,
        extra: &str,
        body: &str,
    ) {
        let local = self.stream.local_addr().unwrap();
        let branch = format!("{call}{cseq}{method}").replace('@', "-");
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/TCP {local};branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n\
             From: {from}\r\nTo: {to}\r\nCall-ID: {call}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:me@{local};transport=tcp>\r\n{extra}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    pub fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// The next message, head and body.
    pub fn next(&mut self) -> String {
        loop {
            if let Some(end) = find(&self.input, b"\r\n\r\n") {
                let head = String::from_utf8(self.input[..end].to_vec()).unwrap();
                let length: usize = header(&head, "Content-Length").unwrap().trim().parse().unwrap();
                if self.input.len() >= end + 4 + length {
                    let message: Vec<u8> = self.input.drain(..end + 4 + length).collect();
                    return String::from_utf8(message).unwrap();
                }
            }
            let mut buffer = [0; 8192];
            let n = self.stream.read(&mut buffer).unwrap();
            assert!(n > 0, "the server has closed the SIP connection");
            self.input.extend_from_slice(&buffer[..n]);
        }
    }

    /// The next final response.
    pub fn answer(&mut self) -> String {
        loop {
            let message = self.next();
            if message.starts_with("SIP/2.0 ") && !message.starts_with("SIP/2.0 1") {
                return message;
            }
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// The offer of a participant of this name.
pub fn offer(name: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=message 9 TCP/MSRP *\r\n\
         a=accept-types:message/cpim\r\na=accept-wrapped-types:*\r\na=path:msrp://127.0.0.1:9/{name}path;tcp\r\n\
         a=setup:active\r\na=chatroom:nickname private-messages\r\n"
    )
}

/// Calls the lobby and acknowledges, where there is something to acknowledge. Answers the SIP connection and the answer.
pub fn call(address: &str, name: &str, offer: &str) -> (Sip, String) {
    let mut sip = Sip::connect(address);
    let (from, room) = (format!("<sip:{name}@127.0.0.1>;tag={name}"), "sip:lobby@127.0.0.1");
    let (to, call) = (format!("<{room}>"), format!("call-{name}"));
    sip.request("INVITE", room, &from, &to, &call, 1, "Content-Type: application/sdp\r\n", offer);
    let answer = sip.answer();
    if answer.starts_with("SIP/2.0 200") {
        let to = answer.lines().find_map(|line| line.strip_prefix("To: ")).unwrap().to_owned();
        sip.request("ACK", room, &from, &to, &call, 1, "", "");
    }
    (sip, answer)
}

impl Participant {
    pub fn join(server: &Server, name: &str, room: &str) -> Self {
        let mut participant = Self::call(server, name, room);
        participant.bind();
        participant
    }

    /// Joins without binding the session.
    pub fn call(server: &Server, name: &str, room: &str) -> Self {
        Self::call_as(server, name, name, room, &offer(name))
    }

    /// Joins with an offer as a user who may be there by another name already, without binding the session.
    pub fn call_as(server: &Server, user: &str, name: &str, room: &str, offer: &str) -> Self {
        let mut sip = Sip::connect(&server.sip);
        let room = format!("sip:{room}@127.0.0.1");
        let (from, to) = (format!("<sip:{user}@127.0.0.1>;tag={name}"), format!("<{room}>"));
        let call = format!("call-{name}");
        sip.request("INVITE", &room, &from, &to, &call, 1, "Content-Type: application/sdp\r\n", offer);
        let answer = sip.answer();
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        let contact = header(&answer, "Contact").unwrap().split(['<', '>']).nth(1).unwrap().to_owned();
        let to = header(&answer, "To").unwrap().to_owned();
        sip.request("ACK", &contact, &from, &to, &call, 1, "", "");
        let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
        let to_path = body.lines().find_map(|line| line.strip_prefix("a=path:")).unwrap().to_owned();
        let msrp = connect(&to_path);
        Self {
            name: name.into(),
            user: user.into(),
            room,
            from_path: format!("msrp://127.0.0.1:9/{name}path;tcp"),
            to_path,
            answer: body,
            sip,
            msrp,
            input: Vec::new(),
            kept: VecDeque::new(),
            partial: HashMap::new(),
            count: 0,
            call: Call { contact, local: from, remote: to, id: call },
        }
    }

    /// Waits for a call at a listener, takes it as an active endpoint and binds the session, even before the ACK is there.
    pub fn invited(listener: &TcpListener, name: &str) -> Self {
        let (stream, _) = listener.accept().unwrap();
        let mut sip = Sip::on(stream);
        let invite = sip.next();
        assert!(invite.starts_with("INVITE "), "{invite}");
        sip.reply(&invite, "180 Ringing", name, "");
        let answer = offer(name);
        sip.reply(&invite, "200 OK", name, &answer);
        let value = |header_name: &str| header(&invite, header_name).unwrap().to_owned();
        let contact = value("Contact").split(['<', '>']).nth(1).unwrap().to_owned();
        let body = invite.split_once("\r\n\r\n").unwrap().1.to_owned();
        let to_path = body.lines().find_map(|line| line.strip_prefix("a=path:")).unwrap().to_owned();
        let remote = value("From");
        let mut participant = Self {
            name: name.into(),
            user: name.into(),
            room: remote.split(['<', '>']).nth(1).unwrap().to_owned(),
            from_path: format!("msrp://127.0.0.1:9/{name}path;tcp"),
            msrp: connect(&to_path),
            to_path,
            answer: body,
            sip,
            input: Vec::new(),
            kept: VecDeque::new(),
            partial: HashMap::new(),
            count: 0,
            call: Call { contact, local: format!("{};tag={name}", value("To")), remote, id: value("Call-ID") },
        };
        participant.bind();
        let ack = participant.sip.next();
        assert!(ack.starts_with("ACK "), "{ack}");
        participant
    }

    /// The next SIP message.
    pub fn sip_message(&mut self) -> String {
        self.sip.next()
    }

    /// Answers a request.
    pub fn reply(&mut self, request: &str, status: &str) {
        let name = self.name.clone();
        self.sip.reply(request, status, &name, "");
    }

    pub fn bind(&mut self) {
        let tid = self.request("SEND", "Message-ID: bind\r\nByte-Range: 1-0/0\r\n", None, '$');
        assert_eq!(self.response(&tid), "200");
    }

    /// Writes a chunk; answers its transaction id.
    pub fn request(&mut self, method: &str, headers: &str, body: Option<&[u8]>, flag: char) -> String {
        self.count += 1;
        let tid = format!("{}t{:06}", self.name, self.count);
        let mut chunk =
            format!("MSRP {tid} {method}\r\nTo-Path: {}\r\nFrom-Path: {}\r\n{headers}", self.to_path, self.from_path)
                .into_bytes();
        if let Some(body) = body {
            chunk.extend_from_slice(b"\r\n");
            chunk.extend_from_slice(body);
            chunk.extend_from_slice(b"\r\n");
        }
        chunk.extend_from_slice(format!("-------{tid}{flag}\r\n").as_bytes());
        self.msrp.write_all(&chunk).unwrap();
        tid
    }

    /// The body of a message to a URI.
    pub fn wrap(&self, to: &str, text: &str) -> String {
        format!("From: <sip:{}@127.0.0.1>\r\nTo: <{to}>\r\n\r\nContent-Type: text/plain\r\n\r\n{text}", self.user)
    }

    /// Sends a whole message; answers its transaction id.
    pub fn send(&mut self, id: &str, extra: &str, body: &[u8]) -> String {
        let headers =
            format!("Message-ID: {id}\r\nByte-Range: 1-{0}/{0}\r\n{extra}Content-Type: message/cpim\r\n", body.len());
        self.request("SEND", &headers, Some(body), '$')
    }

    /// Says something to the room, and waits until it is taken.
    pub fn say(&mut self, text: &str) {
        let body = self.wrap(&self.room.clone(), text);
        let id = format!("m{}", self.count);
        let tid = self.send(&id, "", body.as_bytes());
        assert_eq!(self.response(&tid), "200");
    }

    /// The next chunk, whatever it is. `None`: the connection is over.
    pub fn next_chunk(&mut self) -> Option<Chunk> {
        if let Some(chunk) = self.kept.pop_front() {
            return Some(chunk);
        }
        loop {
            if let Some(chunk) = self.take_chunk() {
                return Some(chunk);
            }
            let mut buffer = vec![0; 256 * 1024];
            match self.msrp.read(&mut buffer) {
                Ok(0) => return None,
                Ok(n) => self.input.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{} waits in vain: {error}", self.name),
            }
        }
    }

    fn take_chunk(&mut self) -> Option<Chunk> {
        let line = find(&self.input, b"\r\n")?;
        let start = String::from_utf8(self.input[..line].to_vec()).unwrap();
        let mut words = start.split(' ');
        assert_eq!(words.next(), Some("MSRP"), "{start}");
        let (tid, what) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
        let end_line = format!("-------{tid}");
        // The end-line is at the end of what is there, or a chunk follows it; ids are unique, so the first one counts.
        let end = memchr::memmem::find(&self.input[line..], end_line.as_bytes())? + line;
        let after = end + end_line.len();
        if self.input.len() < after + 3 {
            return None;
        }
        let flag = char::from(self.input[after]);
        assert_eq!(&self.input[after + 1..after + 3], b"\r\n");
        let inner = self.input[line + 2..end].to_vec();
        self.input.drain(..after + 3);
        let (headers, body) = match find(&inner, b"\r\n\r\n") {
            Some(at) => (inner[..at + 2].to_vec(), inner[at + 4..inner.len() - 2].to_vec()),
            None => (inner, Vec::new()),
        };
        Some(Chunk { tid, what, headers: String::from_utf8(headers).unwrap(), body, flag })
    }

    /// The status of the response to a request. What comes before it is kept.
    pub fn response(&mut self, tid: &str) -> String {
        let mut kept = VecDeque::new();
        loop {
            let chunk = self.next_chunk().expect("the connection is open");
            if chunk.tid == tid {
                kept.append(&mut self.kept);
                self.kept = kept;
                return chunk.what;
            }
            kept.push_back(chunk);
        }
    }

    /// The next message, put together. An aborted one ends with `None`.
    pub fn message(&mut self) -> Option<Vec<u8>> {
        loop {
            let chunk = self.next_chunk().expect("the connection is open");
            if chunk.what != "SEND" {
                continue;
            }
            let id = chunk.header("Message-ID").unwrap().to_owned();
            let sofar = self.partial.entry(id.clone()).or_default();
            let start: usize = chunk.header("Byte-Range").unwrap().split('-').next().unwrap().parse().unwrap();
            // What carries nothing begins at 1, wherever it comes (RFC 4975 §7.1.1).
            let expected = if chunk.body.is_empty() { 1 } else { sofar.len() + 1 };
            assert_eq!(start, expected, "chunks come in order and without gaps");
            sofar.extend_from_slice(&chunk.body);
            match chunk.flag {
                '$' => return self.partial.remove(&id),
                '#' => return None,
                _ => {}
            }
        }
    }

    /// The text of the next message.
    pub fn text(&mut self) -> String {
        let message = String::from_utf8(self.message().expect("a whole message")).unwrap();
        message.rsplit("\r\n\r\n").next().unwrap().to_owned()
    }

    /// The next REPORT.
    pub fn report(&mut self) -> Chunk {
        loop {
            let chunk = self.next_chunk().expect("the connection is open");
            if chunk.what == "REPORT" {
                return chunk;
            }
        }
    }

    /// Asks for a nickname; answers the status.
    pub fn nickname(&mut self, quoted: &str) -> String {
        let tid = self.request("NICKNAME", &format!("Use-Nickname: {quoted}\r\n"), None, '$');
        self.response(&tid)
    }

    /// A request within the call.
    pub fn in_call(&mut self, method: &str, cseq: u32, extra: &str, body: &str) -> String {
        let Call { contact, local, remote, id } = &self.call;
        self.sip.request(method, contact, local, remote, id, cseq, extra, body);
        if method == "ACK" { String::new() } else { self.sip.answer() }
    }

    /// The next SIP message, whatever it is.
    pub fn next_sip(&mut self) -> String {
        self.sip.next()
    }

    pub fn write_sip(&mut self, text: &str) {
        self.sip.write(text);
    }

    /// Hangs up, and waits until that is confirmed.
    pub fn leave(mut self) {
        let answer = self.in_call("BYE", 9, "", "");
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    }

    /// Waits for a BYE.
    pub fn sees_bye(&mut self) -> String {
        let bye = self.sip.next();
        assert!(bye.starts_with("BYE "), "{bye}");
        bye
    }

    /// Waits for a BYE and confirms it. Answers the request.
    pub fn hung_up_on(&mut self) -> String {
        let bye = self.sees_bye();
        self.reply(&bye, "200 OK");
        bye
    }
}
