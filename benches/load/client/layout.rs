//! What the load looks like on the wire: fixed lengths throughout, so that a copy is checked with a few comparisons.

use std::io;

use parlor_proto::msrp::{ByteRange, ChunkParser, Continuation, Event, FailureReport, encode};

/// Digits of a sender's number and of a message's, as they stand in the text.
const SENDER_DIGITS: usize = 4;
const NUMBER_DIGITS: usize = 12;
const MARK: &[u8] = b"bench s=";

/// The text of a message: who sent it, its number, and padding up to `size` octets.
#[must_use]
pub fn text(size: usize, sender: usize, number: u64) -> Vec<u8> {
    let mut text = format!("bench s={sender:04} n={number:012} ").into_bytes();
    text.resize(size.max(text.len()), b'x');
    text
}

/// A wrapped text as one SEND.
#[must_use]
pub fn send(from: &str, room: &str, paths: (&str, &str), text: &[u8], number: u64) -> Vec<u8> {
    let mut body = format!("From: <{from}>\r\nTo: <{room}>\r\n\r\nContent-Type: text/plain\r\n\r\n").into_bytes();
    body.extend_from_slice(text);
    let len = body.len() as u64;
    let id = format!("b{number:015}");
    let mut out = Vec::with_capacity(body.len() + 400);
    encode::send(
        &mut out,
        &encode::Send {
            tid: id.as_bytes(),
            to_path: paths.0.as_bytes(),
            from_path: paths.1.as_bytes(),
            message_id: id.as_bytes(),
            byte_range: ByteRange { start: 1, end: Some(len), total: Some(len) },
            success_report: false,
            failure_report: FailureReport::Yes,
            body: Some((b"message/cpim", &body)),
            continuation: Continuation::Complete,
        },
    );
    out
}

/// Which message a copy is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copy {
    /// Who sent it.
    pub sender: usize,
    /// Which one of the sender's.
    pub number: u64,
}

/// Where the numbers stand in the copies that one receiver gets; all of them are alike but for the digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Octets of a copy.
    pub len: usize,
    /// How it begins and how it ends, which tells that it is whole.
    begins: [u8; 4],
    ends: [u8; 3],
    sender_at: usize,
    number_at: usize,
}

impl Layout {
    /// Learns the layout from a chunk that is there whole. `None`: it is no copy.
    #[must_use]
    pub fn learn(chunk: &[u8]) -> Option<Self> {
        let sender_at = memchr::memmem::find(chunk, MARK)? + MARK.len();
        let (begins, ends) = (*chunk.first_chunk()?, *chunk.last_chunk()?);
        Some(Self { len: chunk.len(), begins, ends, sender_at, number_at: sender_at + SENDER_DIGITS + 3 })
    }

    /// Reads a copy of this layout off the front. `None`: what stands there is none, or not there whole.
    #[must_use]
    pub fn read(&self, input: &[u8]) -> Option<Copy> {
        let chunk = input.get(..self.len)?;
        let framed = chunk.starts_with(&self.begins) && chunk.ends_with(&self.ends);
        let marked = &chunk[self.sender_at - MARK.len()..self.sender_at] == MARK;
        if !framed || !marked {
            return None;
        }
        let sender = digits(&chunk[self.sender_at..self.sender_at + SENDER_DIGITS])?;
        let number = digits(&chunk[self.number_at..self.number_at + NUMBER_DIGITS])?;
        Some(Copy { sender: usize::try_from(sender).ok()?, number })
    }

    /// Makes another copy out of one.
    pub fn renumber(&self, chunk: &mut [u8], sender: usize, number: u64) {
        chunk[self.sender_at..self.sender_at + SENDER_DIGITS].copy_from_slice(format!("{sender:04}").as_bytes());
        chunk[self.number_at..self.number_at + NUMBER_DIGITS].copy_from_slice(format!("{number:012}").as_bytes());
    }
}

fn digits(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0u64, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u64::from(b - b'0')))
}

/// Octets of what stands whole at the front. `None`: it is not there whole.
///
/// # Errors
/// Returns an error if the input is not of the protocol.
pub type FrameLen = fn(&[u8]) -> io::Result<Option<usize>>;

/// The length of a chunk of MSRP. One that says that something was refused is an error.
///
/// # Errors
/// Returns an error if the input is not MSRP or is a response that refuses.
pub fn msrp(input: &[u8]) -> io::Result<Option<usize>> {
    let len = chunk_len(input).map_err(io::Error::other)?;
    let line = len.and_then(|_| input.split(|octet| *octet == b'\r').next()).unwrap_or_default();
    let status = line.split(|octet| *octet == b' ').nth(2).filter(|word| word[0].is_ascii_digit());
    if status.is_some_and(|status| status != b"200") {
        return Err(io::Error::other(format!("the server refuses what is sent: {}", line.escape_ascii())));
    }
    Ok(len)
}

/// Octets of the chunk at the front of `input`, by the slow way. `None`: it is not there whole.
///
/// # Errors
/// Returns an error if the input is not MSRP.
pub fn chunk_len(input: &[u8]) -> Result<Option<usize>, parlor_proto::msrp::ParseError> {
    let mut parser = ChunkParser::new();
    let mut rest = input;
    while let Some(event) = parser.next(&mut rest)? {
        if matches!(event, Event::Bodiless(_) | Event::Body { end: Some(_), .. }) {
            return Ok(Some(input.len() - rest.len()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_can_be_read_back() {
        let chunk = send("sip:a@b", "sip:r@b", ("msrp://a/1;tcp", "msrp://b/2;tcp"), &text(100, 7, 123), 123);
        assert_eq!(chunk_len(&chunk), Ok(Some(chunk.len())));
        assert_eq!(chunk_len(&chunk[..chunk.len() - 1]), Ok(None));
        let layout = Layout::learn(&chunk).unwrap();
        assert_eq!(layout.read(&chunk), Some(Copy { sender: 7, number: 123 }));
        let mut other = chunk.clone();
        layout.renumber(&mut other, 9, 4_000_000_000);
        assert_eq!(layout.read(&other), Some(Copy { sender: 9, number: 4_000_000_000 }));
        assert_eq!(layout.read(&other[..50]), None);
        other[0] = b'X';
        assert_eq!(layout.read(&other), None);
        assert_eq!(
            msrp(b"MSRP a7b8 200 OK\r\nTo-Path: msrp://a:1/b;tcp\r\nFrom-Path: msrp://a:1/c;tcp\r\n-------a7b8$\r\n")
                .unwrap(),
            Some(88)
        );
        assert!(
            msrp(b"MSRP a7b8 403 No\r\nTo-Path: msrp://a:1/b;tcp\r\nFrom-Path: msrp://a:1/c;tcp\r\n-------a7b8$\r\n")
                .is_err()
        );
        assert_eq!(text(1, 1, 1), b"bench s=0001 n=000000000001 ", "the numbers are always there");
    }
}
