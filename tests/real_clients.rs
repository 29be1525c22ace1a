//! What real clients put on the wire is sent as it was recorded (ports, tags and paths of the server of then replaced by those of
//! now), and what comes back must be what each of them goes on with. `tests/wire/README.md` tells where the recordings come from.

mod support;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};

use support::participant::PATIENCE;
use support::{BACK_ENDS, Participant, Server, tls};

/// What a client sent, in order.
struct Recording(Vec<(Protocol, Vec<u8>)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Sip,
    Msrp,
}

impl Recording {
    /// Reads `>>> sip 936`, the 936 octets, a line end, and so on.
    fn load(name: &str) -> Self {
        let path = format!("{}/tests/wire/sessions/{name}.session", env!("CARGO_MANIFEST_DIR"));
        let octets = std::fs::read(path).unwrap();
        let (mut rest, mut sent) = (&octets[..], Vec::new());
        while !rest.is_empty() {
            let end = find(rest, b"\n").unwrap();
            let line = std::str::from_utf8(&rest[..end]).unwrap();
            let (protocol, len) = line.strip_prefix(">>> ").unwrap().split_once(' ').unwrap();
            let protocol = if protocol == "sip" { Protocol::Sip } else { Protocol::Msrp };
            let (message, after) = rest[end + 1..].split_at(len.parse().unwrap());
            sent.push((protocol, message.to_vec()));
            rest = &after[1..];
        }
        Self(sent)
    }
}

/// The client of a recording, at work with our server.
struct Replay {
    sip: Socket,
    /// The port that it had when it was recorded, and has now.
    ports: (String, String),
    /// By Call-ID: our tag and our Contact.
    dialogs: HashMap<String, (String, String)>,
    path: String,
    msrp: Option<Box<dyn Duplex>>,
    input: Vec<u8>,
    /// NOTIFYs that came.
    notified: Vec<String>,
    /// Responses and REPORTs that came over MSRP and nobody has asked for yet.
    chunks: Vec<String>,
}

/// MSRP's connection, with TLS or without.
trait Duplex: Read + Write {}

impl<T: Read + Write> Duplex for T {}

enum Socket {
    Udp(UdpSocket),
    Tcp(TcpStream, Vec<u8>),
}

impl Socket {
    fn send(&mut self, message: &[u8]) {
        match self {
            Self::Udp(socket) => drop(socket.send(message).unwrap()),
            Self::Tcp(stream, _) => stream.write_all(message).unwrap(),
        }
    }

    fn next(&mut self) -> String {
        match self {
            Self::Udp(socket) => {
                let mut buffer = vec![0; 65536];
                let n = socket.recv(&mut buffer).unwrap();
                String::from_utf8(buffer[..n].to_vec()).unwrap()
            }
            Self::Tcp(stream, input) => loop {
                if let Some(end) = find(input, b"\r\n\r\n") {
                    let head = std::str::from_utf8(&input[..end]).unwrap();
                    let len = end + 4 + header(head, "Content-Length").unwrap().parse::<usize>().unwrap();
                    if input.len() >= len {
                        return String::from_utf8(input.drain(..len).collect()).unwrap();
                    }
                }
                let mut buffer = [0; 8192];
                let n = stream.read(&mut buffer).unwrap();
                assert!(n > 0, "the server has closed the SIP connection");
                input.extend_from_slice(&buffer[..n]);
            },
        }
    }

    fn port(&self) -> u16 {
        match self {
            Self::Udp(socket) => socket.local_addr().unwrap().port(),
            Self::Tcp(stream, _) => stream.local_addr().unwrap().port(),
        }
    }
}

impl Replay {
    fn new(server: &Server, recording: &Recording) -> Self {
        let invite = std::str::from_utf8(&recording.0[0].1).unwrap();
        let (transport, rest) = header(invite, "Via").unwrap().split_once(' ').unwrap();
        let recorded = rest.split([';', ':']).nth(1).unwrap().to_owned();
        let sip = if transport.ends_with("UDP") {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket
                .connect(server.ready.split_whitespace().find_map(|word| word.strip_prefix("udp:")).unwrap())
                .unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            Socket::Udp(socket)
        } else {
            let stream = TcpStream::connect(&server.sip).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            Socket::Tcp(stream, Vec::new())
        };
        let ports = (format!(":{recorded}"), format!(":{}", sip.port()));
        Self {
            sip,
            ports,
            dialogs: HashMap::new(),
            path: String::new(),
            msrp: None,
            input: Vec::new(),
            notified: Vec::new(),
            chunks: Vec::new(),
        }
    }

    /// Sends a recorded SIP message. Answers the status of the final response, 0 for an ACK.
    fn sip(&mut self, recorded: &[u8]) -> u16 {
        let text = std::str::from_utf8(recorded).unwrap().replace(&self.ports.0, &self.ports.1);
        let call = header(&text, "Call-ID").unwrap().to_owned();
        let message = match self.dialogs.get(&call) {
            Some((tag, contact)) => with_dialog(&text, tag, contact),
            None => text,
        };
        self.sip.send(message.as_bytes());
        let method = message.split(' ').next().unwrap().to_owned();
        if method == "ACK" {
            return 0;
        }
        let sequence = header(&message, "CSeq").unwrap();
        loop {
            let came = self.sip.next();
            if !came.starts_with("SIP/2.0") {
                self.agree(&came);
            } else if header(&came, "CSeq") == Some(sequence) && !came.starts_with("SIP/2.0 1") {
                self.learn(&call, &method, &came);
                return came[8..11].parse().unwrap();
            }
        }
    }

    fn learn(&mut self, call: &str, method: &str, answer: &str) {
        let tag = header(answer, "To").unwrap().split(";tag=").nth(1).unwrap().to_owned();
        if let Some(contact) = header(answer, "Contact") {
            if method == "INVITE" {
                assert!(contact.contains("isfocus"), "it uses nicknames only with a focus: {contact}");
            }
            let contact = contact.split(['<', '>']).nth(1).unwrap().to_owned();
            self.dialogs.insert(call.to_owned(), (tag, contact));
        }
        if method == "INVITE" {
            let line = |name: &str| answer.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            assert_eq!(line("a=accept-types:"), "message/cpim");
            assert!(line("a=chatroom:").contains("nickname") && line("a=chatroom:").contains("private-messages"));
            self.path = line("a=path:").to_owned();
        }
    }

    /// Answers a request of the server as every client does.
    fn agree(&mut self, request: &str) {
        let echo = ["Via", "From", "To", "Call-ID", "CSeq"]
            .map(|name| format!("{name}: {}\r\n", header(request, name).unwrap()));
        self.sip.send(format!("SIP/2.0 200 OK\r\n{}Content-Length: 0\r\n\r\n", echo.concat()).as_bytes());
        if request.starts_with("NOTIFY") {
            self.notified.push(request.to_owned());
        }
    }

    /// Waits until a NOTIFY with a text in it has come.
    fn sees_notify(&mut self, what: &str) {
        while !self.notified.iter().any(|notify| notify.contains(what)) {
            let came = self.sip.next();
            assert!(!came.starts_with("SIP/2.0"), "{came}");
            self.agree(&came);
        }
    }

    /// Sends a recorded chunk, by way of the relay if the client has one, which puts its own URI in front of where it comes
    /// from. Answers it as it went out.
    fn msrp(&mut self, recorded: &[u8]) -> String {
        let text = String::from_utf8(recorded.to_vec()).unwrap();
        let to = header(&text, "To-Path").unwrap().to_owned();
        let from = header(&text, "From-Path").unwrap().to_owned();
        let relays = to.rsplit_once(' ').map(|(relays, _)| format!("{relays} ")).unwrap_or_default();
        let chunk = text.replacen(&format!("To-Path: {to}"), &format!("To-Path: {}", self.path), 1).replacen(
            &format!("From-Path: {from}"),
            &format!("From-Path: {relays}{from}"),
            1,
        );
        let stream = self.msrp.get_or_insert_with(|| connect(&self.path));
        stream.write_all(chunk.as_bytes()).unwrap();
        stream.flush().unwrap();
        chunk
    }

    /// The next chunk for which `wanted` holds, of those that are no SENDs.
    fn chunk(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            if let Some(at) = self.chunks.iter().position(|chunk| wanted(chunk)) {
                return self.chunks.remove(at);
            }
            let mut buffer = [0; 65536];
            let n = self.msrp.as_mut().unwrap().read(&mut buffer).unwrap();
            assert!(n > 0, "the server has closed the MSRP connection");
            self.input.extend_from_slice(&buffer[..n]);
            while let Some(chunk) = take_chunk(&mut self.input) {
                if chunk.split(' ').nth(2).is_none_or(|what| !what.starts_with("SEND")) {
                    self.chunks.push(chunk);
                }
            }
        }
    }

    fn status(&mut self, tid: &str) -> String {
        let start = format!("MSRP {tid} ");
        let response = self.chunk(|chunk| chunk.starts_with(&start));
        response[start.len()..start.len() + 3].to_owned()
    }
}

/// Connects to where a path leads. Over TLS everybody is believed, as the clients of then did.
fn connect(path: &str) -> Box<dyn Duplex> {
    let address = path.split('/').nth(2).unwrap();
    if path.starts_with("msrps:") {
        return Box::new(tls::connect(address, tls::client(None)));
    }
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Box::new(stream)
}

fn with_dialog(text: &str, tag: &str, contact: &str) -> String {
    let to = header(text, "To").unwrap().to_owned();
    let Some((bare, _)) = to.split_once(";tag=") else { return text.to_owned() };
    let method = text.split(' ').next().unwrap();
    let line = text.lines().next().unwrap();
    text.replacen(line, &format!("{method} {contact} SIP/2.0"), 1).replacen(
        &format!("To: {to}"),
        &format!("To: {bare};tag={tag}"),
        1,
    )
}

fn take_chunk(input: &mut Vec<u8>) -> Option<String> {
    let line = find(input, b"\r\n")?;
    let tid = std::str::from_utf8(&input[..line]).unwrap().split(' ').nth(1).unwrap().to_owned();
    let end = find(input, format!("\r\n-------{tid}").as_bytes())? + 2 + 7 + tid.len() + 3;
    (input.len() >= end).then(|| String::from_utf8(input.drain(..end).collect()).unwrap())
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
    text.lines().take_while(|line| !line.is_empty()).find_map(value).map(str::trim)
}

fn body_of(chunk: &str) -> Option<&str> {
    let (_, rest) = chunk.split_once("\r\n\r\n")?;
    Some(&rest[..rest.rfind("\r\n-------")?])
}

/// Plays a recording into a room where somebody listens.
fn play(name: &str) {
    play_with(&Server::start(), name);
}

fn play_with(server: &Server, name: &str) {
    let recording = Recording::load(name);
    let invite = std::str::from_utf8(&recording.0[0].1).unwrap();
    let room = invite.split(['@', ':']).nth(1).unwrap();
    // Whom the client whispers to, if it does.
    let mut witness = server.join(if name == "sipsimple-bob" { "alice" } else { "bob" }, room);
    let mut replay = Replay::new(server, &recording);
    let (mut message, mut left) = (String::new(), false);
    for (protocol, octets) in &recording.0 {
        match protocol {
            Protocol::Sip => {
                let subscribes = octets.starts_with(b"SUBSCRIBE");
                let status = replay.sip(octets);
                // A subscription to a room one has left may be gone already.
                let gone = subscribes && left && status == 481;
                assert!(matches!(status, 0 | 200) || gone, "{status} {}", String::from_utf8_lossy(octets));
                left |= octets.starts_with(b"BYE");
                if subscribes && !left {
                    replay.sees_notify("application/conference-info+xml");
                }
            }
            Protocol::Msrp => exchange(&mut replay, octets, &mut message, &mut witness),
        }
    }
    assert!(left, "it hangs up at the end");
    witness.say("still here");
}

/// Sends a chunk and sees to it that everybody gets what is due to them.
fn exchange(replay: &mut Replay, octets: &[u8], message: &mut String, witness: &mut Participant) {
    let chunk = replay.msrp(octets);
    let mut words = chunk.split([' ', '\r']).skip(1);
    let (tid, method) = (words.next().unwrap().to_owned(), words.next().unwrap());
    match method {
        "REPORT" => return,
        _ if header(&chunk, "Failure-Report") == Some("no") => {}
        _ => assert_eq!(replay.status(&tid), "200", "{chunk}"),
    }
    let Some(body) = body_of(&chunk) else { return sees_report(replay, &chunk, 0) };
    message.push_str(body);
    if !chunk.ends_with("$\r\n") {
        return;
    }
    let heard = witness.message().expect("a whole message");
    assert_eq!(String::from_utf8(heard).unwrap(), *message, "unchanged, and put together");
    sees_report(replay, &chunk, message.len());
    message.clear();
}

/// Waits for the REPORT about a message of so many octets whose last chunk asks for it; an empty one is reported too.
fn sees_report(replay: &mut Replay, chunk: &str, len: usize) {
    if header(chunk, "Success-Report") != Some("yes") {
        return;
    }
    let report = replay.chunk(|chunk| chunk.contains(" REPORT\r\n"));
    assert_eq!(header(&report, "Message-ID"), header(chunk, "Message-ID"));
    assert_eq!(header(&report, "Status"), Some("000 200 OK"));
    let true_count = format!("1-{len}/{len}");
    assert_eq!(header(&report, "Byte-Range"), Some(true_count.as_str()), "octets, not characters");
    assert_eq!(header(&report, "To-Path"), header(chunk, "From-Path"), "relays in order");
}

#[test]
fn sipsimple_over_udp_talks_whispers_and_composes() {
    play("sipsimple-alice");
}

#[test]
fn sipsimple_that_only_listens_and_reports() {
    play("sipsimple-bob");
}

#[test]
fn sipsimple_over_tcp() {
    play("sipsimple-tcp");
}

#[test]
fn sipsimple_with_msrp_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    tls::certify(folder.path());
    for io in BACK_ENDS {
        let server = Server::of(&tls::config(io, folder.path(), "udp:127.0.0.1:0"));
        play_with(&server, "sipsimple-msrps");
    }
}

#[test]
fn sipsimple_behind_ag_projects_relay() {
    play("sipsimple-agmsrprelay");
}

#[test]
fn sipsimple_behind_kamailio() {
    play("sipsimple-kamailio");
}

#[test]
fn msrp_java() {
    play("msrp-java");
}

#[test]
fn msrp_node_lib_in_chunks() {
    play("msrp-node-lib");
}

#[test]
fn crocodile_behind_kamailio_over_websocket() {
    play("crocodile-kamailio");
}
