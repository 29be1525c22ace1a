//! The topmost Via: whose transaction a message is of and where its response goes (RFC 3261 §17.1.3, §18.2, RFC 3581).

use std::borrow::Cow;
use std::net::IpAddr;

use sipx_sip::headers::first_hop_end;
use sipx_sip::{HeaderName, Headers};

use super::header::{Parameter, parameters, semicolon};

/// Every branch of RFC 3261 begins so (§8.1.1.7); who does not write it knows RFC 2543 only.
const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

/// The topmost Via of a message, read where it stands: nothing of it is copied.
#[derive(Debug)]
pub struct TopVia<'a> {
    /// Its row, which may have more of them behind it.
    row: Cow<'a, [u8]>,
    /// Where in the row the sent-by begins and ends, and where the whole ends.
    sent_by: (usize, usize),
    end: usize,
    has_port: Option<u16>,
    /// There is no other Via, so that whoever sent the message made it.
    pub is_only: bool,
}

impl<'a> TopVia<'a> {
    /// Reads it; `None` where there is none, or none that can be read.
    #[must_use]
    pub fn of(headers: &'a Headers) -> Option<Self> {
        let via = Self::of_row(headers.value(&HeaderName::Via)?)?;
        Some(Self { is_only: via.is_only && headers.count(&HeaderName::Via) == 1, ..via })
    }

    /// Reads it from its row.
    #[must_use]
    pub fn of_row(row: Cow<'a, [u8]>) -> Option<Self> {
        let end = first_hop_end(&row);
        let head_end = semicolon(&row[..end]).unwrap_or(end);
        let head = &row[..head_end];
        // sent-protocol is "SIP / 2.0 / transport", and white space ends it (RFC 3261 §25.1).
        let version = memchr::memchr(b'/', head)? + 1;
        let transport = version + memchr::memchr(b'/', &head[version..])? + 1;
        let transport = transport + octets_of_space(&head[transport..]);
        let space = transport + head[transport..].iter().position(u8::is_ascii_whitespace)?;
        let from = space + octets_of_space(&head[space..]);
        let sent_by = head[from..].trim_ascii_end();
        let filled = [&head[..version - 1], &head[version..transport - 1], &head[transport..space], sent_by];
        let readable = filled.iter().all(|part| !part.is_empty())
            && parameters(&row[head_end..end]).all(|(name, value)| !name.is_empty() && value != Some(b""));
        let has_port = port_of(sent_by).ok().filter(|_| readable)?;
        let sent_by = (from, from + sent_by.len());
        Some(Self { sent_by, end, has_port, is_only: end == row.len(), row })
    }

    /// Host and port as they stand there.
    #[must_use]
    pub fn sent_by(&self) -> &[u8] {
        &self.row[self.sent_by.0..self.sent_by.1]
    }

    /// The host, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &[u8] {
        let sent_by = self.sent_by();
        match sent_by.strip_prefix(b"[").and_then(|rest| Some(&rest[..memchr::memchr(b']', rest)?])) {
            Some(address) => address,
            None => sent_by.split(|&b| b == b':').next().unwrap_or_default().trim_ascii_end(),
        }
    }

    /// The host where it is an address.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        std::str::from_utf8(self.host()).ok()?.parse().ok()
    }

    /// The port, if it names one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.has_port
    }

    /// The branch, if it is one of RFC 3261: the cookie with something behind it, for the cookie alone tells no transaction from
    /// another (RFC 4475 §3.2.1).
    #[must_use]
    pub fn branch(&self) -> Option<&[u8]> {
        let unique = |branch: &&[u8]| {
            branch
                .split_at_checked(MAGIC_COOKIE.len())
                .is_some_and(|(cookie, rest)| cookie.eq_ignore_ascii_case(MAGIC_COOKIE) && !rest.is_empty())
        };
        self.parameter("branch")?.filter(unique)
    }

    /// A parameter and its value, as they stand there.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<Option<&[u8]>> {
        self.parameters().find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// What stands before its parameters.
    pub(super) fn head(&self) -> &[u8] {
        &self.row[..self.sent_by.1]
    }

    pub(super) fn parameters(&self) -> impl Iterator<Item = Parameter<'_>> {
        parameters(&self.row[self.sent_by.1..self.end])
    }

    /// What follows it in its row.
    pub(super) fn rest(&self) -> &[u8] {
        &self.row[self.end..]
    }
}

fn octets_of_space(text: &[u8]) -> usize {
    text.len() - text.trim_ascii_start().len()
}

/// The port behind a host, if there is one; an error where it is no number from 0 to 65535.
fn port_of(sent_by: &[u8]) -> Result<Option<u16>, ()> {
    let behind = match memchr::memchr(b']', sent_by) {
        Some(bracket) => bracket + 1,
        None => 0,
    };
    let Some(colon) = memchr::memchr(b':', &sent_by[behind..]) else { return Ok(None) };
    let digits = std::str::from_utf8(sent_by[behind + colon + 1..].trim_ascii_start()).map_err(|_| ())?;
    digits.parse().map(Some).map_err(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sipx_sip::Via;

    fn read(row: &str) -> Option<TopVia<'_>> {
        TopVia::of_row(Cow::Borrowed(row.as_bytes()))
    }

    /// What the SIP crate reads, which copies all of it.
    fn parsed(row: &str) -> Option<Via> {
        Via::parse_one(&row.as_bytes()[..first_hop_end(row.as_bytes())]).ok()
    }

    #[test]
    fn it_is_read_as_the_sip_crate_reads_it() {
        for row in [
            "SIP/2.0/UDP 192.0.2.7:40000;branch=z9hG4bKa",
            "SIP/2.0/TCP h.example",
            "SIP  /  2.0 /  UDP   first.example.com:4000 ;ttl=16;maddr=224.2.0.1 ; branch = z9hG4bKa7c6.1  ",
            "SIP/2.0/TLS [2001:db8::9:1]:5061;rport;branch=z9hG4bK1",
            "SIP/2.0/UDP [2001:DB8::1];RPORT=7;received=192.0.2.1",
            "SIP/2.0/UDP Host;x=\"a;b,c\";branch=old, SIP/2.0/UDP p:1;branch=z9hG4bKq",
            "SIP/2.0/UDP h;branch",
        ] {
            let (ours, theirs) = (read(row).unwrap(), parsed(row).unwrap());
            let host = String::from_utf8_lossy(ours.host()).to_lowercase();
            assert_eq!(host, theirs.host.to_string().trim_matches(['[', ']']).to_lowercase(), "{row}");
            assert_eq!(ours.port(), theirs.port, "{row}");
            assert_eq!(ours.branch(), theirs.branch().filter(|_| theirs.has_rfc3261_branch()), "{row}");
            assert_eq!(ours.parameter("rport"), theirs.rport(), "{row}");
            assert_eq!(ours.parameter("received").flatten(), theirs.received(), "{row}");
            assert_eq!(ours.is_only, !row.contains(", "), "{row}");
        }
    }

    #[test]
    fn what_is_none_is_not_read() {
        for row in [
            "",
            "nothing",
            "SIP/2.0/UDP",
            "SIP/2.0 h",
            "SIP/2.0/ h",
            "SIP//UDP h",
            "SIP/2.0/UDP h:99999",
            "SIP/2.0/UDP h:",
            "SIP/2.0/UDP h:x",
            "SIP/2.0/UDP h;;",
            "SIP/2.0/UDP h;branch=",
            "SIP/2.0/UDP ;branch=z",
        ] {
            assert!(read(row).is_none() && parsed(row).is_none(), "{row}");
        }
    }

    #[test]
    fn no_piece_of_a_row_panics() {
        let row = "SIP / 2.0/UDP [2001:db8::1] : 5060 ;x=\"a\\\"b\";branch=z9hG4bK1, SIP/2.0/UDP p";
        for (from, to) in (0..row.len()).flat_map(|from| (from..row.len()).map(move |to| (from, to))) {
            let via = read(&row[from..to]);
            let _ =
                via.as_ref().map(|via| (via.host().len(), via.ip(), via.branch().map(<[u8]>::len), via.rest().len()));
        }
    }
}
