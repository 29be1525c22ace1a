//! The parser of one connection's bytes: heads and body pieces, in order, borrowed from what was received.
//!
//! ```text
//!   Head ──blank line──► Body ──end-line──► Head
//!     └────────────────end-line─────────────►┘     (a chunk without a body)
//! ```
//!
//! Incomplete input is a status, not an error: [`ChunkParser::next`] answers `None` and keeps what it cannot use yet, which is
//! a head that was cut (at most [`MSRP_HEAD_BYTES_MAX`]) or what may become an end-line (at most 44 octets). Body octets are
//! given out as they come. No octet is searched twice.

use super::end_line::{self, AtEndLine, END_LINE_BYTES_MAX, Found};
use super::head::{Head, Start};
use super::{Continuation, ParseError, TransactionId};
use crate::limits::{MSRP_HEAD_BYTES_MAX, MSRP_START_LINE_BYTES_MAX};

/// What was found in the input. A chunk is a [`Event::Head`], then either [`Event::Bodiless`] or one or more
/// [`Event::Body`] of which the last has an `end`.
#[derive(Debug)]
pub enum Event<'a> {
    /// A chunk begins.
    Head(Head<'a>),
    /// The chunk has ended without a body.
    Bodiless(Continuation),
    /// Octets of the body. They may be none where `end` is there.
    Body {
        /// The octets, in the input or, where a false end-line was cut in two, in the parser.
        piece: &'a [u8],
        /// The end-line that follows them, where it is there already.
        end: Option<Continuation>,
    },
}

/// Parses one direction of one connection.
#[derive(Debug, Default)]
pub struct ChunkParser {
    state: State,
    /// Octets that were received and cannot be used yet. No allocation while there are none.
    kept: Vec<u8>,
    /// Octets at the front of `kept` that the last event has lent out.
    lent: usize,
    tid: TransactionId,
}

#[derive(Debug)]
enum State {
    /// In a head: where its current line begins, and up to where that line was searched for its end.
    Head { line: usize, searched: usize },
    /// The head was given out, and an end-line had followed it at once.
    Ended(Continuation),
    /// In a body; `first` as long as nothing of it was seen.
    Body { first: bool },
    /// Lost: nobody can tell where the next chunk begins.
    Failed(ParseError),
}

impl Default for State {
    fn default() -> Self {
        Self::Head { line: 0, searched: 0 }
    }
}

/// A head that is there whole.
struct HeadEnd {
    /// Octets of start line and header lines.
    head: usize,
    /// Octets with the empty line or the end-line.
    consumed: usize,
    /// The end-line, where no body follows.
    end: Option<Continuation>,
}

impl ChunkParser {
    /// A parser at the beginning of a connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next event off `input`. `None`: all of `input` is used up, and more is needed.
    ///
    /// # Errors
    /// What cannot be framed. The connection is of no use any more: every later call answers the same.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Event<'a>>, ParseError> {
        self.take_back_what_was_lent();
        match self.state {
            State::Head { .. } if self.kept.is_empty() => self.head_in_input(input),
            State::Head { .. } => self.head_in_kept(input),
            State::Ended(continuation) => {
                self.state = State::default();
                Ok(Some(Event::Bodiless(continuation)))
            }
            State::Body { first } if self.kept.is_empty() => Ok(self.body_in_input(input, first)),
            State::Body { first } => Ok(self.body_in_kept(input, first)),
            State::Failed(error) => Err(error),
        }
    }

    /// Octets that the parser keeps for later.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.kept.len() - self.lent
    }

    /// Whether the input so far ends between two chunks.
    #[must_use]
    pub fn is_between_chunks(&self) -> bool {
        matches!(self.state, State::Head { .. }) && self.buffered_bytes() == 0
    }

    fn take_back_what_was_lent(&mut self) {
        if self.lent == self.kept.len() {
            // An idle connection owns no buffer.
            self.kept = Vec::new();
        } else if self.lent > 0 {
            self.kept.drain(..self.lent);
        }
        self.lent = 0;
    }

    fn head_in_input<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Event<'a>>, ParseError> {
        // Some peers keep a connection alive with empty lines between chunks.
        let blank = input.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let text = &input[blank..];
        *input = text;
        let Some(end) = find_head_end(&mut self.state, &mut self.tid, text)? else {
            self.kept.extend_from_slice(text);
            *input = &[];
            return Ok(None);
        };
        *input = &text[end.consumed..];
        self.state = end.next_state();
        head_event(&mut self.state, &text[..end.head])
    }

    fn head_in_kept<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Event<'a>>, ParseError> {
        let before = self.kept.len();
        let taken = input.len().min(MSRP_HEAD_BYTES_MAX + END_LINE_BYTES_MAX - before.min(MSRP_HEAD_BYTES_MAX));
        self.kept.extend_from_slice(&input[..taken]);
        let Some(end) = find_head_end(&mut self.state, &mut self.tid, &self.kept)? else {
            *input = &input[taken..];
            return Ok(None);
        };
        *input = &input[end.consumed - before..];
        self.kept.truncate(end.consumed);
        self.lent = end.consumed;
        self.state = end.next_state();
        head_event(&mut self.state, &self.kept[..end.head])
    }

    fn body_in_input<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8], first: bool) -> Option<Event<'a>> {
        let text = *input;
        if first && text.first() == Some(&b'-') {
            match end_line::at_end_line(text, self.tid.get()) {
                AtEndLine::Yes(continuation, len) => return Some(self.ended(input, 0, continuation, len)),
                AtEndLine::Incomplete => {
                    self.kept.extend_from_slice(text);
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
                self.kept.extend_from_slice(&text[usable..]);
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

    /// Decides what the octets kept back are, now that more have come.
    fn body_in_kept<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8], first: bool) -> Option<Event<'a>> {
        let before = self.kept.len();
        let taken = input.len().min(END_LINE_BYTES_MAX);
        self.kept.extend_from_slice(&input[..taken]);
        let found = match self.kept.first() {
            Some(b'-') if first => end_line::at_end_line(&self.kept, self.tid.get()),
            _ => end_line::at_opening(&self.kept, self.tid.get()),
        };
        match found {
            AtEndLine::Yes(continuation, len) => {
                *input = &input[len - before..];
                self.lent = self.kept.len();
                self.state = State::default();
                Some(Event::Body { piece: &[], end: Some(continuation) })
            }
            AtEndLine::Incomplete => {
                *input = &input[taken..];
                None
            }
            AtEndLine::No => {
                // They are body, up to where an end-line could begin anew. What was taken stays in the input.
                self.kept.truncate(before);
                let body = self.kept[1..].iter().position(|&b| b == b'\r').map_or(before, |at| at + 1);
                self.lent = body;
                self.state = State::Body { first: false };
                Some(Event::Body { piece: &self.kept[..body], end: None })
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

fn head_event<'a>(state: &mut State, text: &'a [u8]) -> Result<Option<Event<'a>>, ParseError> {
    let parsed = Head::parse(text);
    if let Err(error) = parsed {
        *state = State::Failed(error);
    }
    parsed.map(|head| Some(Event::Head(head)))
}

/// Searches the head that `text` begins with for its end, from where the last search stopped.
fn find_head_end(state: &mut State, tid: &mut TransactionId, text: &[u8]) -> Result<Option<HeadEnd>, ParseError> {
    let State::Head { line, searched } = state else { return Ok(None) };
    let found = search_head_end(line, searched, tid, text);
    if let Err(error) = found {
        *state = State::Failed(error);
    }
    found
}

fn search_head_end(
    line: &mut usize,
    searched: &mut usize,
    tid: &mut TransactionId,
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
            return check_unfinished(text, *line).map(|()| None);
        };
        let end = *searched + at;
        let content = text[*line..end].strip_suffix(b"\r").unwrap_or(&text[*line..end]);
        if *line == 0 {
            check_unfinished(&text[..end], 0)?;
            *tid = TransactionId::new(Start::parse(content)?.0);
        } else if content.is_empty() {
            return Ok(Some(HeadEnd { head: *line, consumed: end + 1, end: None }));
        } else if end >= MSRP_HEAD_BYTES_MAX {
            return Err(ParseError::HeadTooLong);
        }
        *line = end + 1;
        *searched = end + 1;
    }
}

/// Refuses as early as possible what cannot become a head: a peer that speaks something else must not make us wait.
fn check_unfinished(text: &[u8], line: usize) -> Result<(), ParseError> {
    const OPENING: &[u8] = b"MSRP ";
    let seen = text.len().min(OPENING.len());
    if text[..seen] != OPENING[..seen] {
        return Err(ParseError::StartLine);
    }
    if line == 0 && text.len() > MSRP_START_LINE_BYTES_MAX {
        return Err(ParseError::StartLineTooLong);
    }
    if text.len() >= MSRP_HEAD_BYTES_MAX {
        return Err(ParseError::HeadTooLong);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msrp::Method;

    /// What a sequence of reads yields, written down so that two ways of cutting the input can be compared.
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
            assert!(input.is_empty(), "a parser that wants more has used up all");
        }
        Ok(out)
    }

    const THREE: &[u8] = b"MSRP abcd SEND\r\nTo-Path: a\r\nFrom-Path: b\r\nContent-Type: x/y\r\n\r\nbo\r\n-------abce$\r\ndy\r\r\n\r\n-------abcd+\r\n\
        MSRP 1234 200 OK\r\nTo-Path: a\r\nFrom-Path: b\r\n-------1234$\r\n\
        \r\nMSRP x123 SEND\r\nTo-Path: a\r\n\r\n-------x123#\r\n";

    #[test]
    fn chunks_come_out_whole_however_they_are_cut() {
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
    fn something_else_is_refused_at_its_first_octets() {
        assert_eq!(transcript(&[b"GET"]).unwrap_err(), ParseError::StartLine);
        assert_eq!(transcript(&[b"M", b"SRQ"]).unwrap_err(), ParseError::StartLine);
        assert_eq!(transcript(&[&[0x16, 3, 1]]).unwrap_err(), ParseError::StartLine);
    }

    #[test]
    fn a_head_without_end_is_refused() {
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
        assert_eq!(parser.kept.capacity(), 0);
    }

    #[test]
    fn the_body_is_lent_out_of_the_input() {
        let mut parser = ChunkParser::new();
        let mut input = THREE;
        let Ok(Some(Event::Head(head))) = parser.next(&mut input) else { panic!("no head") };
        assert_eq!(head.method(), Some(Method::Send));
        let Ok(Some(Event::Body { piece, .. })) = parser.next(&mut input) else { panic!("no body") };
        assert!(THREE.as_ptr_range().contains(&piece.as_ptr()), "not a copy");
    }
}
