//! The parser of one connection: heads and body pieces, in order, borrowed from what was received.
//!
//! ```text
//!   Head ──blank line──► Body ──end-line──► Head
//!     └────────────────end-line─────────────►┘     (a chunk without a body)
//! ```
//!
//! Incomplete input is a status, not an error: [`ChunkParser::next`] returns `None` and buffers what it cannot decide yet, which is
//! an incomplete head (at most `msrp_head_bytes_max` octets) or a possible end-line (at most 44 octets). Body octets are returned as
//! they arrive. No octet is searched twice.

use super::end_line::{self, AtEndLine, END_LINE_BYTES_MAX, Found};
use super::head::{Head, HeadLimits, Start};
use super::{Continuation, ParseError, TransactionId};
use crate::limits::Limits;

/// What the parser found in the input. A chunk is an [`Event::Head`], then either an [`Event::Bodiless`], or one or more
/// [`Event::Body`] of which the last has an `end`.
#[derive(Debug)]
pub enum Event<'a> {
    /// A chunk begins.
    Head(Head<'a>),
    /// The chunk ends without a body.
    Bodiless(Continuation),
    /// Octets of the body.
    Body {
        /// The octets: borrowed from the input, or from the parser if a false end-line was cut in two. May be empty if `end` is
        /// `Some`.
        piece: &'a [u8],
        /// The flag of the end-line, if it follows these octets: this was the last piece.
        end: Option<Continuation>,
    },
}

/// Parses one direction of one connection.
///
/// After each read call [`next`](Self::next) until it returns `None`; then the input is consumed, and the parser needs the next read.
/// Between chunks the parser owns no buffer.
#[derive(Debug, Default)]
pub struct ChunkParser {
    state: State,
    /// Octets that were received and cannot be decided yet. No allocation while it is empty.
    buffered: Vec<u8>,
    /// Octets at the front of `buffered` that the last event borrows.
    lent: usize,
    tid: TransactionId,
    limits: HeadLimits,
}

#[derive(Debug)]
enum State {
    /// In a head: where its current line begins, and up to where this line was searched for its end.
    Head { line: usize, searched: usize },
    /// The head was returned, and an end-line follows it directly.
    Ended(Continuation),
    /// In a body; `first` until an octet of it was seen.
    Body { first: bool },
    /// The input cannot be framed any more.
    Failed(ParseError),
}

impl Default for State {
    fn default() -> Self {
        Self::Head { line: 0, searched: 0 }
    }
}

/// Where a complete head ends.
struct HeadEnd {
    /// Octets of start line and header lines.
    head: usize,
    /// The same with the empty line or the end-line.
    consumed: usize,
    /// The flag of the end-line, if no body follows.
    end: Option<Continuation>,
}

impl ChunkParser {
    /// A parser for the start of a connection, with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// [`Self::new`] with other limits: the fields of `limits` that begin with `msrp_` and `message_id_`, except for paths.
    #[must_use]
    pub fn with_limits(limits: &Limits) -> Self {
        Self { limits: HeadLimits::of(limits), ..Self::default() }
    }

    /// Parses the next event, and advances `input` past it. Returns `None` once all of `input` is consumed and more is needed.
    ///
    /// # Errors
    /// Returns an error if the input cannot be framed. The connection cannot be used any more: every later call returns the same
    /// error.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Event<'a>>, ParseError> {
        self.release_lent();
        match self.state {
            State::Head { .. } if self.buffered.is_empty() => self.head_in_input(input),
            State::Head { .. } => self.head_in_buffer(input),
            State::Ended(continuation) => {
                self.state = State::default();
                Ok(Some(Event::Bodiless(continuation)))
            }
            State::Body { first } if self.buffered.is_empty() => Ok(self.body_in_input(input, first)),
            State::Body { first } => Ok(self.body_in_buffer(input, first)),
            State::Failed(error) => Err(error),
        }
    }

    /// Octets that the parser buffers because they cannot be decided yet.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.buffered.len() - self.lent
    }

    /// Whether the input so far ends between two chunks: where a connection may be closed without loss.
    #[must_use]
    pub fn is_between_chunks(&self) -> bool {
        matches!(self.state, State::Head { .. }) && self.buffered_bytes() == 0
    }

    fn release_lent(&mut self) {
        if self.lent == self.buffered.len() {
            // An idle connection owns no buffer.
            self.buffered = Vec::new();
        } else if self.lent > 0 {
            self.buffered.drain(..self.lent);
        }
        self.lent = 0;
    }

    fn head_in_input<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Event<'a>>, ParseError> {
        // Some peers send empty lines between chunks as keep-alives.
        let blank = input.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let text = &input[blank..];
        *input = text;
        let Some(end) = find_head_end(&mut self.state, &mut self.tid, self.limits, text)? else {
            self.buffered.extend_from_slice(text);
            *input = &[];
            return Ok(None);
        };
        *input = &text[end.consumed..];
        self.state = end.next_state();
        head_event(&mut self.state, self.limits, &text[..end.head])
    }

    fn head_in_buffer<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Event<'a>>, ParseError> {
        let before = self.buffered.len();
        let head_max = self.limits.head_bytes();
        let taken = input.len().min(head_max.saturating_sub(before) + END_LINE_BYTES_MAX);
        self.buffered.extend_from_slice(&input[..taken]);
        let Some(end) = find_head_end(&mut self.state, &mut self.tid, self.limits, &self.buffered)? else {
            *input = &input[taken..];
            return Ok(None);
        };
        *input = &input[end.consumed - before..];
        self.buffered.truncate(end.consumed);
        self.lent = end.consumed;
        self.state = end.next_state();
        head_event(&mut self.state, self.limits, &self.buffered[..end.head])
    }

    fn body_in_input<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8], first: bool) -> Option<Event<'a>> {
        let text = *input;
        if first && text.first() == Some(&b'-') {
            match end_line::at_end_line(text, self.tid.get()) {
                AtEndLine::Yes(continuation, len) => return Some(self.ended(input, 0, continuation, len)),
                AtEndLine::Incomplete => {
                    self.buffered.extend_from_slice(text);
                    *input = &[];
                    return None;
                }
                AtEndLine::No => {}
            }
        }
        if text.is_empty() {
            return None;
        }
        match end_line::find(text, self.tid.get()) {
            Found::EndLine { body, continuation, len } => Some(self.ended(input, body, continuation, len)),
            Found::Body(usable) => {
                self.state = State::Body { first: first && usable == 0 };
                self.buffered.extend_from_slice(&text[usable..]);
                *input = &[];
                (usable > 0).then(|| Event::Body { piece: &text[..usable], end: None })
            }
        }
    }

    fn ended<'i>(&mut self, input: &mut &'i [u8], body: usize, continuation: Continuation, len: usize) -> Event<'i> {
        let text = *input;
        *input = &text[body + len..];
        self.state = State::default();
        Event::Body { piece: &text[..body], end: Some(continuation) }
    }

    /// Decides what the buffered octets are, now that more have arrived.
    fn body_in_buffer<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8], first: bool) -> Option<Event<'a>> {
        let before = self.buffered.len();
        let taken = input.len().min(END_LINE_BYTES_MAX);
        self.buffered.extend_from_slice(&input[..taken]);
        let found = match self.buffered.first() {
            Some(b'-') if first => end_line::at_end_line(&self.buffered, self.tid.get()),
            _ => end_line::at_opening(&self.buffered, self.tid.get()),
        };
        match found {
            AtEndLine::Yes(continuation, len) => {
                *input = &input[len - before..];
                self.lent = self.buffered.len();
                self.state = State::default();
                Some(Event::Body { piece: &[], end: Some(continuation) })
            }
            AtEndLine::Incomplete => {
                *input = &input[taken..];
                None
            }
            AtEndLine::No => {
                // They are body, up to where another end-line could begin. What was copied stays in the input.
                self.buffered.truncate(before);
                let body = self.buffered[1..].iter().position(|&b| b == b'\r').map_or(before, |at| at + 1);
                self.lent = body;
                self.state = State::Body { first: false };
                Some(Event::Body { piece: &self.buffered[..body], end: None })
            }
        }
    }
}

impl HeadEnd {
    fn next_state(&self) -> State {
        match self.end {
            Some(continuation) => State::Ended(continuation),
            None => State::Body { first: true },
        }
    }
}

fn head_event<'a>(state: &mut State, limits: HeadLimits, text: &'a [u8]) -> Result<Option<Event<'a>>, ParseError> {
    let parsed = Head::read(text, limits);
    if let Err(error) = parsed {
        *state = State::Failed(error);
    }
    parsed.map(|head| Some(Event::Head(head)))
}

/// Searches for the end of the head that `text` begins with, from where the last search stopped.
fn find_head_end(
    state: &mut State,
    tid: &mut TransactionId,
    limits: HeadLimits,
    text: &[u8],
) -> Result<Option<HeadEnd>, ParseError> {
    let State::Head { line, searched } = state else { return Ok(None) };
    let found = search_head_end(line, searched, tid, limits, text);
    if let Err(error) = found {
        *state = State::Failed(error);
    }
    found
}

fn search_head_end(
    line: &mut usize,
    searched: &mut usize,
    tid: &mut TransactionId,
    limits: HeadLimits,
    text: &[u8],
) -> Result<Option<HeadEnd>, ParseError> {
    loop {
        let rest = &text[*line..];
        if *line > 0 && rest.first() == Some(&b'-') {
            match end_line::at_end_line(rest, tid.get()) {
                AtEndLine::Yes(continuation, len) => {
                    return Ok(Some(HeadEnd { head: *line, consumed: *line + len, end: Some(continuation) }));
                }
                AtEndLine::Incomplete => return Ok(None),
                AtEndLine::No => {}
            }
        }
        let Some(at) = memchr::memchr(b'\n', &text[*searched..]) else {
            *searched = text.len();
            return check_incomplete(text, *line, limits).map(|()| None);
        };
        let end = *searched + at;
        let content = text[*line..end].strip_suffix(b"\r").unwrap_or(&text[*line..end]);
        if *line == 0 {
            check_incomplete(&text[..end], 0, limits)?;
            *tid = TransactionId::new(Start::parse(content)?.0);
        } else if content.is_empty() {
            return Ok(Some(HeadEnd { head: *line, consumed: end + 1, end: None }));
        } else if end >= limits.head_bytes() {
            return Err(ParseError::HeadTooLong);
        }
        *line = end + 1;
        *searched = end + 1;
    }
}

/// Refuses as early as possible what cannot become a head, so that a peer of another protocol is not waited for.
fn check_incomplete(text: &[u8], line: usize, limits: HeadLimits) -> Result<(), ParseError> {
    const OPENING: &[u8] = b"MSRP ";
    let seen = text.len().min(OPENING.len());
    if text[..seen] != OPENING[..seen] {
        return Err(ParseError::StartLine);
    }
    if line == 0 && text.len() > limits.start_line_bytes() {
        return Err(ParseError::StartLineTooLong);
    }
    if text.len() >= limits.head_bytes() {
        return Err(ParseError::HeadTooLong);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msrp::Method;

    /// The events of a sequence of reads as text, so that two ways of cutting the input can be compared.
    fn transcript(reads: &[&[u8]]) -> Result<Vec<String>, ParseError> {
        let mut parser = ChunkParser::new();
        let mut out = Vec::new();
        let mut body = Vec::new();
        for read in reads {
            let mut input = *read;
            while let Some(event) = parser.next(&mut input)? {
                match event {
                    Event::Head(head) => {
                        out.push(format!("{:?} {}", head.start, head.fields().count()));
                    }
                    Event::Bodiless(continuation) => out.push(format!("{continuation:?}")),
                    Event::Body { piece, end } => {
                        body.extend_from_slice(piece);
                        if let Some(end) = end {
                            out.push(format!("{} {end:?}", body.escape_ascii()));
                            body.clear();
                        }
                    }
                }
            }
            assert!(input.is_empty(), "a parser that needs more has consumed all");
        }
        Ok(out)
    }

    const THREE: &[u8] = b"MSRP abcd SEND\r\nTo-Path: a\r\nFrom-Path: b\r\nContent-Type: x/y\r\n\r\nbo\r\n-------abce$\r\ndy\r\r\n\r\n-------abcd+\r\n\
        MSRP 1234 200 OK\r\nTo-Path: a\r\nFrom-Path: b\r\n-------1234$\r\n\
        \r\nMSRP x123 SEND\r\nTo-Path: a\r\n\r\n-------x123#\r\n";

    #[test]
    fn chunks_are_the_same_however_they_are_cut() {
        let whole = transcript(&[THREE]).unwrap();
        assert_eq!(
            whole,
            [
                "Request(Send) 3",
                "bo\\r\\n-------abce$\\r\\ndy\\r\\r\\n More",
                "Response(Status(200), Some([79, 75])) 2",
                "Complete",
                "Request(Send) 1",
                " Abort"
            ]
        );
        for cut in 0..=THREE.len() {
            assert_eq!(transcript(&[&THREE[..cut], &THREE[cut..]]).unwrap(), whole, "cut at {cut}");
        }
        let octets: Vec<&[u8]> = THREE.chunks(1).collect();
        assert_eq!(transcript(&octets).unwrap(), whole);
    }

    #[test]
    fn a_prefix_is_never_an_error() {
        for end in 0..THREE.len() {
            assert!(transcript(&[&THREE[..end]]).is_ok(), "{end}");
        }
    }

    #[test]
    fn another_protocol_is_refused_at_its_first_octets() {
        assert_eq!(transcript(&[b"GET"]).unwrap_err(), ParseError::StartLine);
        assert_eq!(transcript(&[b"M", b"SRQ"]).unwrap_err(), ParseError::StartLine);
        assert_eq!(transcript(&[&[0x16, 3, 1]]).unwrap_err(), ParseError::StartLine);
    }

    #[test]
    fn an_endless_head_is_refused() {
        let long = [&b"MSRP abcd SEND\r\n"[..], &b"A: b\r\n".repeat(4096)].concat();
        assert_eq!(transcript(&[&long]).unwrap_err(), ParseError::HeadTooLong);
        let cut: Vec<&[u8]> = long.chunks(100).collect();
        assert_eq!(transcript(&cut).unwrap_err(), ParseError::HeadTooLong);
        let line = [&b"MSRP abcd "[..], &b"A".repeat(2000)].concat();
        assert_eq!(transcript(&[&line]).unwrap_err(), ParseError::StartLineTooLong);
        let header = [&b"MSRP abcd SEND\r\nA: "[..], &b"A".repeat(20_000)].concat();
        assert_eq!(transcript(&[&header]).unwrap_err(), ParseError::HeadTooLong);
    }

    #[test]
    fn a_parser_that_failed_stays_failed() {
        for bad in [&b"MSRP abcd SEND\r\nTo-Path: a\r\nno header\r\n\r\nbody"[..], b"MSRP abcd SEND\r\nMSRP abcd "] {
            let bad = if bad.len() < 40 { [bad, &b"A".repeat(20_000)].concat() } else { bad.to_vec() };
            let mut parser = ChunkParser::new();
            let error = parser.next(&mut &bad[..]).err().unwrap();
            for later in [&b""[..], b"x", b"\r\n\r\n", THREE] {
                assert_eq!(parser.next(&mut &*later).err(), Some(error));
            }
        }
    }

    #[test]
    fn an_idle_parser_owns_no_buffer() {
        let mut parser = ChunkParser::new();
        for read in [&THREE[..30], &THREE[30..]] {
            let mut input = read;
            while parser.next(&mut input).unwrap().is_some() {}
        }
        assert!(parser.is_between_chunks());
        assert_eq!(parser.buffered.capacity(), 0);
    }

    #[test]
    fn the_body_is_borrowed_from_the_input() {
        let mut parser = ChunkParser::new();
        let mut input = THREE;
        let Ok(Some(Event::Head(head))) = parser.next(&mut input) else { panic!("no head") };
        assert_eq!(head.method(), Some(Method::Send));
        let Ok(Some(Event::Body { piece, .. })) = parser.next(&mut input) else { panic!("no body") };
        assert!(THREE.as_ptr_range().contains(&piece.as_ptr()), "not a copy");
    }
}
