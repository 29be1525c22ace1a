//! One who calls, and what there is of its call and its session.

use parlor::ids::{ConnectionId, SessionId, ShardId};
use parlor_proto::sip::Transport;

use super::hearing::{Hearing, text};
use super::world::Peer;

/// Octets of the texts that go in several chunks.
pub const LONG: usize = 20_000;

pub struct Guest {
    pub peer: Peer,
    pub name: String,
    pub room: String,
    /// The path that it offers.
    pub remote: String,
    /// The path that it was answered.
    pub local: Option<String>,
    pub session: Option<(ShardId, SessionId)>,
    pub connection: Option<(ShardId, ConnectionId)>,
    pub bound: bool,
    /// Its socket takes nothing.
    pub stuck: bool,
    /// It has acknowledged that it was taken in.
    pub acknowledged: bool,
    /// The last status that it was answered over SIP.
    pub status: u16,
    pub hearing: Hearing,
    pub said: usize,
    /// What it has sent and nobody has read yet.
    pub unread: Vec<u8>,
    /// A message that it is in the middle of: Message-ID, all of it, and how far it is.
    pub speech: Option<(String, String, usize)>,
}

impl Guest {
    pub fn new(number: usize, room: &str, over_tcp: bool) -> Self {
        let name = format!("g{number}");
        let mut peer = Peer::new(&name, room);
        peer.at.set_port(20_000 + (number % 40_000) as u16);
        if over_tcp {
            peer.transport = Transport::Tcp;
        }
        let remote = format!("msrp://{}/{name}p;tcp", peer.at);
        Self {
            peer,
            name,
            room: room.into(),
            remote,
            local: None,
            session: None,
            connection: None,
            bound: false,
            stuck: false,
            acknowledged: false,
            status: 0,
            hearing: Hearing::default(),
            said: 0,
            unread: Vec::new(),
            speech: None,
        }
    }

    /// Its connection is no more.
    pub fn gone(&mut self) {
        (self.connection, self.bound, self.stuck) = (None, false, false);
        self.unread.clear();
    }

    pub fn offer(&self, more: &str) -> String {
        super::world::offer(&self.remote) + more
    }

    /// A chunk of its, written out; empty where it has no session.
    pub fn chunk(&self, tid: &str, method: &str, headers: &str, body: Option<&str>, flag: char) -> String {
        let Some(local) = &self.local else { return String::new() };
        let body = body.map(|body| format!("\r\n{body}\r\n")).unwrap_or_default();
        format!(
            "MSRP {tid} {method}\r\nTo-Path: {local}\r\nFrom-Path: {}\r\n{headers}{body}-------{tid}{flag}\r\n",
            self.remote
        )
    }

    /// A wrapped text to somebody (`*`: everybody), and its Message-ID.
    pub fn wrap(&mut self, to: &str, len: usize) -> (String, String) {
        self.said += 1;
        let uri = match to {
            "*" => format!("sip:{}@chat.example", self.room),
            name => format!("sip:{name}@home.example"),
        };
        let text = text(&self.room, &self.name, to, self.said, len);
        let from = &self.name;
        let body =
            format!("From: <sip:{from}@home.example>\r\nTo: <{uri}>\r\n\r\nContent-Type: text/plain\r\n\r\n{text}");
        (format!("{from}m{}", self.said), body)
    }

    /// A message in one chunk.
    pub fn message(&mut self, to: &str, len: usize) -> String {
        let (id, body) = self.wrap(to, len);
        let headers =
            format!("Message-ID: {id}\r\nByte-Range: 1-{0}/{0}\r\nContent-Type: message/cpim\r\n", body.len());
        self.chunk(&format!("t{id}"), "SEND", &headers, Some(&body), '$')
    }

    /// The next `len` octets of the message that it is in the middle of, or of one that begins.
    pub fn piece(&mut self, len: usize, gives_up: bool) -> String {
        let (id, body, from) = self.speech.take().unwrap_or_else(|| {
            let (id, body) = self.wrap("*", LONG + len);
            (id, body, 0)
        });
        let to = (from + len).min(body.len());
        let flag = if gives_up {
            '#'
        } else if to == body.len() {
            '$'
        } else {
            '+'
        };
        let range = format!("Byte-Range: {}-*/{}", from + 1, body.len());
        let headers = format!("Message-ID: {id}\r\n{range}\r\nContent-Type: message/cpim\r\n");
        let chunk = self.chunk(&format!("t{id}x{from}"), "SEND", &headers, Some(&body[from..to]), flag);
        if flag == '+' {
            self.speech = Some((id, body, to));
        }
        chunk
    }
}
