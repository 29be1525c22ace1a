//! Writing chunks: each function appends one to a buffer.
//!
//! A message in one chunk:
//!
//! ```
//! use parlor_proto::msrp::{contains_end_line, encode};
//!
//! let body = b"Hey Bob, are you there?";
//! // 64 random bits of yours.
//! let tid = encode::random_id(0x1234_5678_9abc_def0);
//! assert!(!contains_end_line(body, &tid), "draw another one");
//! let mut out = Vec::new();
//! let to_path = b"msrp://biloxi.example.com:12763/kjhd37s2s20w2a;tcp";
//! let from_path = b"msrp://atlanta.example.com:7654/jshA7weztas;tcp";
//! let message = encode::Send::complete(&tid, to_path, from_path, b"87652491", Some((b"text/plain", body)));
//! encode::send(&mut out, &message);
//! assert!(out.starts_with(b"MSRP 123456789abcdef0 SEND\r\n"));
//! assert!(out.ends_with(b"Hey Bob, are you there?\r\n-------123456789abcdef0$\r\n"));
//! ```

use super::{ByteRange, Continuation, FailureReport, Status};

/// Octets in a [`random_id`].
pub const RANDOM_ID_BYTES: usize = 16;

/// A transaction id, Message-ID or session-id made of 64 random bits: 16 hexadecimal digits.
#[must_use]
pub fn random_id(random: u64) -> [u8; RANDOM_ID_BYTES] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|i| DIGITS[(random >> (60 - 4 * i)) as usize & 0xf])
}

/// Writes a response (RFC 4975 §7.2) to the request with transaction id `tid`. `to_path` and `from_path` are those of the response: the
/// previous hop of the request, and one's own URI.
pub fn response(out: &mut Vec<u8>, tid: &[u8], status: Status, to_path: &[u8], from_path: &[u8]) {
    put(out, &[b"MSRP ", tid, b" "]);
    put_number(out, u64::from(status.0));
    put(out, &[b" ", status.comment().as_bytes(), b"\r\n"]);
    paths(out, to_path, from_path);
    end(out, tid, Continuation::Complete);
}

/// A REPORT (RFC 4975 §7.1.2).
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The transaction id of the REPORT.
    pub tid: &'a [u8],
    /// To-Path: the whole From-Path of the SEND that is reported on.
    pub to_path: &'a [u8],
    /// From-Path: the path of the reporting endpoint.
    pub from_path: &'a [u8],
    /// The Message-ID of that SEND.
    pub message_id: &'a [u8],
    /// Which octets of the message are reported on.
    pub byte_range: ByteRange,
    /// Whether they were delivered.
    pub status: Status,
    /// A Message/CPIM wrapper as the body, which RFC 7701 §6.2 requires if the message was private.
    pub cpim: Option<&'a [u8]>,
}

/// Writes a REPORT.
pub fn report(out: &mut Vec<u8>, report: &Report<'_>) {
    put(out, &[b"MSRP ", report.tid, b" REPORT\r\n"]);
    paths(out, report.to_path, report.from_path);
    put(out, &[b"Message-ID: ", report.message_id, b"\r\nByte-Range: "]);
    byte_range(out, report.byte_range);
    put(out, &[b"\r\nStatus: 000 "]);
    put_number(out, u64::from(report.status.0));
    put(out, &[b" ", report.status.comment().as_bytes(), b"\r\n"]);
    if let Some(cpim) = report.cpim {
        put(out, &[b"Content-Type: message/cpim\r\n\r\n", cpim, b"\r\n"]);
    }
    end(out, report.tid, Continuation::Complete);
}

/// A SEND (RFC 4975 §7.1.1).
#[derive(Debug, Clone, Copy)]
pub struct Send<'a> {
    /// The transaction id. The body must not contain it after seven dashes: see [`contains_end_line`](super::contains_end_line).
    pub tid: &'a [u8],
    /// To-Path.
    pub to_path: &'a [u8],
    /// From-Path.
    pub from_path: &'a [u8],
    /// Message-ID.
    pub message_id: &'a [u8],
    /// Which octets of the message `body` has.
    pub byte_range: ByteRange,
    /// Whether to request a REPORT of success.
    pub success_report: bool,
    /// Which failures to be told.
    pub failure_report: FailureReport,
    /// Content-Type and octets; `None` for the empty SEND that binds a session to its connection.
    pub body: Option<(&'a [u8], &'a [u8])>,
    /// Whether more chunks follow.
    pub continuation: Continuation,
}

impl<'a> Send<'a> {
    /// A message in one chunk, with the usual reports: none of success, and every failure. `body` is its Content-Type and its octets,
    /// or `None` for the empty SEND that binds a session to its connection.
    #[must_use]
    pub fn complete(
        tid: &'a [u8],
        to_path: &'a [u8],
        from_path: &'a [u8],
        message_id: &'a [u8],
        body: Option<(&'a [u8], &'a [u8])>,
    ) -> Self {
        let octets = body.map_or(0, |(_, octets)| octets.len() as u64);
        Self {
            tid,
            to_path,
            from_path,
            message_id,
            byte_range: ByteRange { start: 1, end: Some(octets), total: Some(octets) },
            success_report: false,
            failure_report: FailureReport::Yes,
            body,
            continuation: Continuation::Complete,
        }
    }
}

/// Writes a SEND.
pub fn send(out: &mut Vec<u8>, send: &Send<'_>) {
    put(out, &[b"MSRP ", send.tid, b" SEND\r\n"]);
    paths(out, send.to_path, send.from_path);
    put(out, &[b"Message-ID: ", send.message_id, b"\r\nByte-Range: "]);
    byte_range(out, send.byte_range);
    out.extend_from_slice(b"\r\n");
    if send.success_report {
        out.extend_from_slice(b"Success-Report: yes\r\n");
    }
    match send.failure_report {
        FailureReport::Yes => {}
        FailureReport::No => out.extend_from_slice(b"Failure-Report: no\r\n"),
        FailureReport::Partial => out.extend_from_slice(b"Failure-Report: partial\r\n"),
    }
    if let Some((content_type, body)) = send.body {
        put(out, &[b"Content-Type: ", content_type, b"\r\n\r\n", body, b"\r\n"]);
    }
    end(out, send.tid, send.continuation);
}

/// Writes a NICKNAME (RFC 7701 §7.1). Quotes `nickname`.
pub fn nickname(out: &mut Vec<u8>, tid: &[u8], to_path: &[u8], from_path: &[u8], nickname: &str) {
    put(out, &[b"MSRP ", tid, b" NICKNAME\r\n"]);
    paths(out, to_path, from_path);
    out.extend_from_slice(b"Use-Nickname: \"");
    for octet in nickname.bytes() {
        if matches!(octet, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(octet);
    }
    out.extend_from_slice(b"\"\r\n");
    end(out, tid, Continuation::Complete);
}

/// Writes the To-Path and From-Path lines.
pub fn paths(out: &mut Vec<u8>, to_path: &[u8], from_path: &[u8]) {
    put(out, &[b"To-Path: ", to_path, b"\r\nFrom-Path: ", from_path, b"\r\n"]);
}

/// Writes an end-line, without the CRLF before it that ends a body.
pub fn end(out: &mut Vec<u8>, tid: &[u8], continuation: Continuation) {
    put(out, &[b"-------", tid, &[continuation.flag()], b"\r\n"]);
}

/// Writes the value of a Byte-Range header.
pub fn byte_range(out: &mut Vec<u8>, range: ByteRange) {
    put_number(out, range.start);
    out.push(b'-');
    put_number_or_star(out, range.end);
    out.push(b'/');
    put_number_or_star(out, range.total);
}

fn put_number_or_star(out: &mut Vec<u8>, number: Option<u64>) {
    match number {
        Some(number) => put_number(out, number),
        None => out.push(b'*'),
    }
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msrp::{ChunkParser, Event, Head, Method, Start};

    fn with_head(bytes: &[u8], check: impl FnOnce(&Head<'_>)) {
        let mut parser = ChunkParser::new();
        let mut input = bytes;
        let Ok(Some(Event::Head(head))) = parser.next(&mut input) else { panic!("no head") };
        check(&head);
        while parser.next(&mut input).unwrap().is_some() {}
        assert!(parser.is_between_chunks());
    }

    #[test]
    fn written_chunks_read_back() {
        let mut out = Vec::new();
        response(&mut out, b"abcd", Status::NICKNAME_TAKEN, b"msrp://a/1;tcp", b"msrp://b/2;tcp");
        with_head(&out, |head| {
            assert_eq!(head.start, Start::Response(Status(425), Some(b"Nickname reserved or already in use")));
            assert_eq!((head.to_path, head.from_path), (&b"msrp://a/1;tcp"[..], &b"msrp://b/2;tcp"[..]));
        });
        out.clear();
        let range = ByteRange { start: 1, end: Some(7), total: Some(7) };
        report(
            &mut out,
            &Report {
                tid: b"abcd",
                to_path: b"a",
                from_path: b"b",
                message_id: b"m",
                byte_range: range,
                status: Status::OK,
                cpim: Some(b"From: <sip:a@b>\r\n"),
            },
        );
        with_head(&out, |head| {
            assert_eq!(head.method(), Some(Method::Report));
            assert_eq!((head.status, head.byte_range), (Some(Status::OK), Some(range)));
        });
        out.clear();
        nickname(&mut out, b"abcd", b"a", b"b", "Al \"the\" Great");
        with_head(&out, |head| assert_eq!(head.use_nickname, Some(&br#""Al \"the\" Great""#[..])));
    }

    #[test]
    fn random_ids_are_hexadecimal() {
        assert_eq!(&random_id(0x0123_4567_89ab_cdef), b"0123456789abcdef");
        assert!(super::super::head::is_transaction_id(&random_id(0)));
    }
}
