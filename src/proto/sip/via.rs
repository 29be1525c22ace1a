//! The topmost Via, which identifies a transaction and routes its responses (RFC 3261 §17.1.3, §18.2, RFC 3581).

use std::borrow::Cow;
use std::net::IpAddr;

use sipx_sip::headers::first_hop_end;
use sipx_sip::{HeaderName, Headers};

use super::header::{Parameter, parameters, semicolon};

/// How every branch of RFC 3261 begins (§8.1.1.7). Without it the sender implements RFC 2543 only.
const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

/// The topmost Via of a message, borrowed from its headers.
#[derive(Debug)]
pub struct TopVia<'a> {
    /// Its row, which may have more values after it.
    row: Cow<'a, [u8]>,
    /// Where in the row the sent-by begins and ends, and where the value ends.
    sent_by: (usize, usize),
    end: usize,
    port: Option<u16>,
    /// Whether there is no other Via: no proxy has forwarded the message.
    pub is_only: bool,
}

impl<'a> TopVia<'a> {
    /// The topmost Via of `headers`; `None` if it is missing or malformed.
    #[must_use]
    pub fn of(headers: &'a Headers) -> Option<Self> {
        let via = Self::of_row(headers.value(&HeaderName::Via)?)?;
        Some(Self { is_only: via.is_only && headers.count(&HeaderName::Via) == 1, ..via })
    }

    /// The first value of a Via row; `None` if it is malformed.
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
        let port = port_of(sent_by).ok().filter(|_| readable)?;
        let sent_by = (from, from + sent_by.len());
        Some(Self { sent_by, end, port, is_only: end == row.len(), row })
    }

    /// The sent-by: host and port as received.
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

    /// The host as an address; `None` for a name.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        std::str::from_utf8(self.host()).ok()?.parse().ok()
    }

    /// The port; `None` if there is none.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The branch, if it is one of RFC 3261: the magic cookie and more. The cookie alone does not identify a transaction (RFC 4475 §3.2.1).
    #[must_use]
    pub fn branch(&self) -> Option<&[u8]> {
        let unique = |branch: &&[u8]| {
            branch
                .split_at_checked(MAGIC_COOKIE.len())
                .is_some_and(|(cookie, rest)| cookie.eq_ignore_ascii_case(MAGIC_COOKIE) && !rest.is_empty())
        };
        self.parameter("branch")?.filter(unique)
    }

    /// The value of a parameter as received: `None` if the parameter is missing, `Some(None)` if it has no value.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<Option<&[u8]>> {
        self.parameters().find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// What is before the parameters.
    pub(crate) fn head(&self) -> &[u8] {
        &self.row[..self.sent_by.1]
    }

    pub(crate) fn parameters(&self) -> impl Iterator<Item = Parameter<'_>> {
        parameters(&self.row[self.sent_by.1..self.end])
    }

    /// What follows the value in its row.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.row[self.end..]
    }
}

fn octets_of_space(text: &[u8]) -> usize {
    text.len() - text.trim_ascii_start().len()
}

/// The port after a host, if there is one; an error if it is not a number from 0 to 65535.
fn port_of(sent_by: &[u8]) -> Result<Option<u16>, ()> {
    let host_end = match memchr::memchr(b']', sent_by) {
        Some(bracket) => bracket + 1,
        None => 0,
    };
    let Some(colon) = memchr::memchr(b':', &sent_by[host_end..]) else { return Ok(None) };
    let digits = std::str::from_utf8(sent_by[host_end + colon + 1..].trim_ascii_start()).map_err(|_| ())?;
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
    fn it_is_read_as_sipx_sip_reads_it() {
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
    fn anything_else_is_not_read() {
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
