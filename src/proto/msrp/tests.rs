//! Each limit of the grammar, reached with its default and with another value.

use super::{ByteRange, ChunkParser, Event, Head, ParseError, Path, PathError};
use crate::limits::{
    Limits, MESSAGE_ID_BYTES_MAX, MESSAGE_OCTETS_MAX, MSRP_HEAD_BYTES_MAX, MSRP_HEADERS_MAX, MSRP_PATH_URIS_MAX,
    MSRP_START_LINE_BYTES_MAX, TRANSACTION_ID_BYTES_MAX, TRANSACTION_ID_BYTES_MIN,
};

/// Whether a chunk is accepted, however it is cut.
fn read_with(chunk: &str, limits: &Limits) -> Result<(), ParseError> {
    let mut outcomes = [chunk.len(), 100, 1].map(|step| {
        let mut parser = ChunkParser::with_limits(limits);
        let mut heads = 0;
        for piece in chunk.as_bytes().chunks(step) {
            let mut input = piece;
            while let Some(event) = parser.next(&mut input)? {
                heads += usize::from(matches!(event, Event::Head(_)));
            }
        }
        assert_eq!(heads, 1, "a head");
        Ok(())
    });
    outcomes.sort_by_key(Result::is_ok);
    assert_eq!(outcomes[0], outcomes[2], "a cut makes no difference");
    outcomes[0]
}

fn read(chunk: &str) -> Result<(), ParseError> {
    read_with(chunk, &Limits::default())
}

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

#[test]
fn a_start_line_is_limited() {
    let response = |len: usize| {
        let start = "MSRP abcd 200 ";
        format!("{start}{}\r\nTo-Path: a\r\nFrom-Path: b\r\n-------abcd$\r\n", "c".repeat(len - start.len()))
    };
    for max in [MSRP_START_LINE_BYTES_MAX, 40] {
        let limits = limits(|limits| limits.msrp_start_line_bytes_max = max);
        // With its CR.
        assert_eq!(read_with(&response(max - 1), &limits), Ok(()));
        assert_eq!(read_with(&response(max), &limits), Err(ParseError::StartLineTooLong));
    }
    assert_eq!(read(&response(MSRP_START_LINE_BYTES_MAX)), Err(ParseError::StartLineTooLong));
}

#[test]
fn a_head_is_limited() {
    let request = |len: usize| {
        let (start, end) = ("MSRP abcd SEND\r\nTo-Path: a\r\nFrom-Path: b\r\nX: ", "\r\n-------abcd$\r\n");
        format!("{start}{}{end}", "x".repeat(len - start.len() - 2))
    };
    for max in [MSRP_HEAD_BYTES_MAX, 200, 2 * MSRP_HEAD_BYTES_MAX] {
        let limits = limits(|limits| limits.msrp_head_bytes_max = max);
        assert_eq!(read_with(&request(max - 16), &limits), Ok(()), "{max}");
        assert_eq!(read_with(&request(max + 16), &limits), Err(ParseError::HeadTooLong), "{max}");
    }
    assert_eq!(read(&request(MSRP_HEAD_BYTES_MAX + 16)), Err(ParseError::HeadTooLong));
}

#[test]
fn header_lines_are_limited() {
    let request = |count: usize| format!("MSRP abcd SEND\r\n{}-------abcd$\r\n", "A: b\r\n".repeat(count));
    for max in [MSRP_HEADERS_MAX, 3] {
        let limits = limits(|limits| limits.msrp_headers_max = max);
        assert_eq!(read_with(&request(max), &limits), Ok(()), "{max}");
        assert_eq!(read_with(&request(max + 1), &limits), Err(ParseError::TooManyHeaders), "{max}");
    }
    assert_eq!(read(&request(MSRP_HEADERS_MAX + 1)), Err(ParseError::TooManyHeaders));
}

#[test]
fn a_transaction_id_is_limited() {
    let request = |len: usize| {
        let tid = "t".repeat(len);
        format!("MSRP {tid} SEND\r\nTo-Path: a\r\nFrom-Path: b\r\n-------{tid}$\r\n")
    };
    for len in [TRANSACTION_ID_BYTES_MIN, TRANSACTION_ID_BYTES_MAX] {
        assert_eq!(read(&request(len)), Ok(()), "{len}");
    }
    for len in [TRANSACTION_ID_BYTES_MIN - 1, TRANSACTION_ID_BYTES_MAX + 1] {
        assert_eq!(read(&request(len)), Err(ParseError::TransactionId), "{len}");
    }
}

#[test]
fn a_message_id_is_limited() {
    for max in [MESSAGE_ID_BYTES_MAX, 7] {
        let limits = limits(|limits| limits.message_id_bytes_max = max);
        for (len, malformed) in [(max, None), (max + 1, Some("Message-ID"))] {
            let head = format!("MSRP abcd SEND\r\nMessage-ID: {}\r\n", "m".repeat(len));
            assert_eq!(Head::parse_with(head.as_bytes(), &limits).unwrap().malformed, malformed, "{len}");
        }
    }
}

#[test]
fn the_uris_of_a_path_are_limited() {
    let path = |count: usize| "msrp://a/s;tcp ".repeat(count);
    for max in [MSRP_PATH_URIS_MAX, 2] {
        let limits = limits(|limits| limits.msrp_path_uris_max = max);
        assert_eq!(Path::parse_with(path(max).as_bytes(), &limits).unwrap().iter().count(), max);
        assert_eq!(Path::parse_with(path(max + 1).as_bytes(), &limits), Err(PathError::TooManyUris));
    }
    assert_eq!(Path::parse(path(MSRP_PATH_URIS_MAX + 1).as_bytes()), Err(PathError::TooManyUris));
}

#[test]
fn a_range_describes_messages_up_to_the_limit() {
    let (max, more) = (MESSAGE_OCTETS_MAX, MESSAGE_OCTETS_MAX + 1);
    assert!(ByteRange::parse(format!("{max}-{max}/{max}").as_bytes()).is_some());
    for range in [format!("{more}-*/*"), format!("1-{more}/*"), format!("1-*/{more}"), format!("1-*/{}", u64::MAX)] {
        assert_eq!(ByteRange::parse(range.as_bytes()), None, "{range}");
    }
}

#[test]
fn errors_say_whether_input_is_beyond_a_limit() {
    for error in [ParseError::StartLineTooLong, ParseError::HeadTooLong, ParseError::TooManyHeaders] {
        assert!(error.exceeds_limit(), "{error}");
    }
    for error in [ParseError::StartLine, ParseError::TransactionId, ParseError::HeaderLine] {
        assert!(!error.exceeds_limit(), "{error}");
    }
}
