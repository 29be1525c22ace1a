//! The SIP that a load is made of, written and read as plain text: cheap, so that the server is the limit.

use std::net::SocketAddr;

/// What carries calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// One connection for all
    Tcp,
    /// One socket for all
    Udp,
    /// One connection for all, over TLS
    Tls,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Tls => "TLS",
        }
    }
}

/// Who writes: one socket's calls of one run.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Makes Call-IDs and room names unique.
    pub run: u64,
    /// What carries the calls.
    pub transport: Transport,
    /// Where answers come.
    pub local: SocketAddr,
    /// Of the URIs of rooms and members.
    pub host: String,
    /// Whether MSRP goes over TLS.
    pub tls: bool,
}

/// The other side of a call.
#[derive(Debug, Clone, Default)]
pub struct Remote {
    /// Its tag.
    pub tag: String,
    /// Its Contact.
    pub target: String,
}

impl Agent {
    /// The URI of a room of this run.
    #[must_use]
    pub fn room(&self, name: &str) -> String {
        format!("sip:bench-{}-{name}@{}", self.run, self.host)
    }

    /// The URI of a member.
    #[must_use]
    pub fn member(&self, call: usize) -> String {
        format!("sip:member-{call:06}.{:x}@{}", self.run, self.host)
    }

    /// A call's own MSRP path.
    #[must_use]
    pub fn path(&self, call: usize) -> String {
        format!("{}://127.0.0.1:9/bench{call:06};tcp", if self.tls { "msrps" } else { "msrp" })
    }

    /// The INVITE that joins a room.
    #[must_use]
    pub fn invite(&self, call: usize, room: &str) -> String {
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=message 9 {} *\r\n\
             a=accept-types:message/cpim\r\na=accept-wrapped-types:*\r\na=path:{}\r\na=setup:active\r\n\
             a=chatroom:nickname private-messages\r\n",
            if self.tls { "TCP/TLS/MSRP" } else { "TCP/MSRP" },
            self.path(call)
        );
        let (to, extra) = (format!("<{room}>"), "Content-Type: application/sdp\r\n");
        self.request("INVITE", 1, call, room, &to, extra, &offer)
    }

    /// A request in a call.
    #[must_use]
    pub fn within(&self, method: &str, cseq: u32, call: usize, room: &str, remote: &Remote) -> String {
        let to = format!("<{room}>;tag={}", remote.tag);
        self.request(method, cseq, call, &remote.target, &to, "", "")
    }

    /// The ACK of a refusal, which belongs to the INVITE's own transaction (RFC 3261 §17.1.1.3).
    #[must_use]
    pub fn refused(&self, call: usize, room: &str, tag: &str) -> String {
        let ack = self.request("ACK", 1, call, room, &format!("<{room}>;tag={tag}"), "", "");
        ack.replacen("-1ACK", "-1INVITE", 1)
    }

    /// The SUBSCRIBE to the room's roster that goes with a call, outside of it.
    #[must_use]
    pub fn subscribe(&self, call: usize, room: &str) -> String {
        let extra = "Event: conference\r\nAccept: application/conference-info+xml\r\nExpires: 3600\r\n";
        self.request("SUBSCRIBE", 1, call, room, &format!("<{room}>"), extra, "")
    }

    #[allow(clippy::too_many_arguments, reason = "what a request has")]
    fn request(&self, method: &str, cseq: u32, call: usize, uri: &str, to: &str, extra: &str, body: &str) -> String {
        let Self { run, local, .. } = self;
        let (transport, from) = (self.transport.name(), self.member(call));
        // A subscription is a dialog of its own.
        let (kind, word) = if method == "SUBSCRIBE" { ('s', "subscription") } else { ('c', "call") };
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{transport} {local};branch=z9hG4bK{run}{kind}{call}-{cseq}{method}\r\n\
             Max-Forwards: 70\r\nFrom: <{from}>;tag={kind}{call}\r\nTo: {to}\r\nCall-ID: {call}.{word}.{run}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:bench@{local};transport={}>\r\n{extra}Content-Length: {}\r\n\r\n{body}",
            transport.to_ascii_lowercase(),
            body.len()
        )
    }

    /// A 200 to a request of the server's.
    #[must_use]
    pub fn ok(&self, request: &SipMessage<'_>) -> String {
        let mut answer = String::from("SIP/2.0 200 OK\r\n");
        for line in request.head.lines().skip(1) {
            let copied = ["via", "from", "to", "call-id", "cseq"];
            if line
                .split_once(':')
                .is_some_and(|(name, _)| copied.iter().any(|it| name.trim().eq_ignore_ascii_case(it)))
            {
                answer.push_str(line);
                answer.push_str("\r\n");
            }
        }
        answer.push_str("Content-Length: 0\r\n\r\n");
        answer
    }
}

/// One SIP message, as far as a load cares.
#[derive(Debug, Clone, Copy)]
pub struct SipMessage<'a> {
    head: &'a str,
    /// Its body.
    pub body: &'a [u8],
}

impl<'a> SipMessage<'a> {
    /// Reads the message at the front of `input`, and how many octets it is. `None`: it is not there whole, or none.
    #[must_use]
    pub fn read(input: &'a [u8]) -> Option<(Self, usize)> {
        let end = memchr::memmem::find(input, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&input[..end]).ok()?;
        let message = Self { head, body: &[] };
        let length = message.header("Content-Length").and_then(|value| value.parse().ok()).unwrap_or(0);
        let body = input.get(end + 4..)?.get(..length)?;
        Some((Self { head, body }, end + 4 + length))
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let value = |line: &'a str| {
            let (found, value) = line.split_once(':')?;
            found.trim_end().eq_ignore_ascii_case(name).then(|| value.trim())
        };
        self.head.lines().skip(1).find_map(value)
    }

    /// The status of a response.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.head.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The method of a request, or of what a response is to.
    #[must_use]
    pub fn method(&self) -> &'a str {
        let sequence = self.header("CSeq").and_then(|value| value.split_ascii_whitespace().nth(1));
        sequence.unwrap_or_default()
    }

    /// The number of the call that it belongs to, and whether it is of that call's subscription.
    #[must_use]
    pub fn call(&self) -> Option<(usize, bool)> {
        let (number, rest) = self.header("Call-ID")?.split_once('.')?;
        Some((number.parse().ok()?, rest.starts_with("subscription")))
    }

    /// The other side of the call, of a response.
    #[must_use]
    pub fn remote(&self) -> Remote {
        let tag = self.header("To").and_then(|to| to.split_once(";tag=")).map_or("", |(_, tag)| tag);
        let tag = tag.split(';').next().unwrap_or_default();
        let contact = self.header("Contact").and_then(|contact| contact.split(['<', '>']).nth(1)).unwrap_or_default();
        Remote { tag: tag.to_owned(), target: contact.to_owned() }
    }

    /// The MSRP path in the body.
    #[must_use]
    pub fn path(&self) -> Option<&'a str> {
        std::str::from_utf8(self.body).ok()?.lines().find_map(|line| line.strip_prefix("a=path:")).map(str::trim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent() -> Agent {
        let local = "127.0.0.1:5070".parse().unwrap();
        Agent { run: 7, transport: Transport::Udp, local, host: "127.0.0.1".into(), tls: false }
    }

    #[test]
    fn a_request_can_be_read_back() {
        let text = agent().invite(12, &agent().room("a"));
        let (message, len) = SipMessage::read(text.as_bytes()).unwrap();
        assert_eq!((len, message.status(), message.method()), (text.len(), None, "INVITE"));
        assert_eq!((message.call(), message.path()), (Some((12, false)), Some("msrp://127.0.0.1:9/bench000012;tcp")));
        assert!(SipMessage::read(&text.as_bytes()[..text.len() - 1]).is_none());
        assert!(parlor_proto::sip::parse_datagram(text.as_bytes()).is_ok(), "the server's own parser takes it");
        let secure = Agent { tls: true, ..agent() }.invite(12, "sip:r@b");
        assert!(
            secure.contains(" TCP/TLS/MSRP *\r\n") && secure.contains("a=path:msrps://127.0.0.1:9/bench000012;tcp\r\n")
        );
        let (message, _) = SipMessage::read(agent().subscribe(3, "sip:r@b").leak().as_bytes()).unwrap();
        assert_eq!(message.call(), Some((3, true)));
    }

    #[test]
    fn an_answer_is_read() {
        let text = "SIP/2.0 200 OK\r\nto: <sip:r@b>;tag=xyz\r\nCall-ID: 5.call.7\r\nCSeq: 1 INVITE\r\n\
                    Contact: <sip:r@b:5060>;isfocus\r\nContent-Length: 0\r\n\r\nSIP/2.0";
        let (message, len) = SipMessage::read(text.as_bytes()).unwrap();
        assert_eq!((message.status(), message.method(), message.call()), (Some(200), "INVITE", Some((5, false))));
        let remote = message.remote();
        assert_eq!((&*remote.tag, &*remote.target, len), ("xyz", "sip:r@b:5060", text.len() - 7));
    }
}
