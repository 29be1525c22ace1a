//! Chunks as they are written. The switch composes its copies from cached parts (see `switch::frame`); these write what is
//! rare or small: responses, REPORTs, and the requests of a client.

use super::{ByteRange, Continuation, FailureReport, Status};

/// Octets in the transaction ids that we draw: 64 random bits in hexadecimal.
pub const RANDOM_ID_BYTES: usize = 16;

/// The text of a transaction id or Message-ID made of 64 random bits.
#[must_use]
pub fn random_id(random: u64) -> [u8; RANDOM_ID_BYTES] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|i| DIGITS[(random >> (60 - 4 * i)) as usize & 0xf])
}

/// Writes a response (RFC 4975 §7.2). `to_path` and `from_path` are those of the response.
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
    /// Its own transaction id.
    pub tid: &'a [u8],
    /// The whole From-Path of the SEND it is about.
    pub to_path: &'a [u8],
    /// Who reports.
    pub from_path: &'a [u8],
    /// The Message-ID it is about.
    pub message_id: &'a [u8],
    /// Which octets.
    pub byte_range: ByteRange,
    /// What became of them.
    pub status: Status,
    /// A Message/CPIM wrapper, which RFC 7701 §6.2 asks for where the message was private.
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

/// A SEND as a client makes it.
#[derive(Debug, Clone, Copy)]
pub struct Send<'a> {
    /// Its transaction id, which must not stand behind seven dashes in the body.
    pub tid: &'a [u8],
    /// To-Path.
    pub to_path: &'a [u8],
    /// From-Path.
    pub from_path: &'a [u8],
    /// Message-ID.
    pub message_id: &'a [u8],
    /// Which octets of the message `body` is.
    pub byte_range: ByteRange,
    /// Whether a success report is wanted.
    pub success_report: bool,
    /// Which failures are to be told.
    pub failure_report: FailureReport,
    /// Content-Type and octets; `None` makes the empty SEND that binds a session.
    pub body: Option<(&'a [u8], &'a [u8])>,
    /// Whether more chunks follow.
    pub continuation: Continuation,
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

/// Writes a NICKNAME (RFC 7701 §7.1). `nickname` is quoted here.
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

/// Writes the two path lines.
pub fn paths(out: &mut Vec<u8>, to_path: &[u8], from_path: &[u8]) {
    put(out, &[b"To-Path: ", to_path, b"\r\nFrom-Path: ", from_path, b"\r\n"]);
}

/// Writes an end-line, without the CRLF that separates it from a body.
pub fn end(out: &mut Vec<u8>, tid: &[u8], continuation: Continuation) {
    put(out, &[b"-------", tid, &[continuation.flag()], b"\r\n"]);
}

/// Writes the value of a Byte-Range.
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
    fn what_is_written_can_be_read() {
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
    fn drawn_ids_are_hexadecimal() {
        assert_eq!(&random_id(0x0123_4567_89ab_cdef), b"0123456789abcdef");
        assert!(super::super::head::is_transaction_id(&random_id(0)));
    }
}
