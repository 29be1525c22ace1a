//! The limits of the grammar, each reached.

use super::{ByteRange, ChunkParser, Event, Head, ParseError};
use crate::limits::{
    MESSAGE_ID_BYTES_MAX, MESSAGE_OCTETS_MAX, MSRP_HEAD_BYTES_MAX, MSRP_START_LINE_BYTES_MAX, TRANSACTION_ID_BYTES_MAX,
    TRANSACTION_ID_BYTES_MIN,
};

/// Whether a chunk is read, however it is cut.
fn read(chunk: &str) -> Result<(), ParseError> {
    let mut outcomes = [chunk.len(), 100, 1].map(|step| {
        let mut parser = ChunkParser::new();
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

#[test]
fn a_start_line_is_as_long_as_the_limit_says() {
    let response = |len: usize| {
        let start = "MSRP abcd 200 ";
        format!("{start}{}\r\nTo-Path: a\r\nFrom-Path: b\r\n-------abcd$\r\n", "c".repeat(len - start.len()))
    };
    // With its CR.
    assert_eq!(read(&response(MSRP_START_LINE_BYTES_MAX - 1)), Ok(()));
    assert_eq!(read(&response(MSRP_START_LINE_BYTES_MAX)), Err(ParseError::StartLineTooLong));
}

#[test]
fn a_head_is_as_long_as_the_limit_says() {
    let request = |len: usize| {
        let (start, end) = ("MSRP abcd SEND\r\nTo-Path: a\r\nFrom-Path: b\r\nX: ", "\r\n-------abcd$\r\n");
        format!("{start}{}{end}", "x".repeat(len - start.len() - 2))
    };
    assert_eq!(read(&request(MSRP_HEAD_BYTES_MAX - 16)), Ok(()));
    assert_eq!(read(&request(MSRP_HEAD_BYTES_MAX + 16)), Err(ParseError::HeadTooLong));
}

#[test]
fn a_transaction_id_is_as_long_as_the_limits_say() {
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
fn a_message_id_is_as_long_as_the_limit_says() {
    for (len, malformed) in [(MESSAGE_ID_BYTES_MAX, None), (MESSAGE_ID_BYTES_MAX + 1, Some("Message-ID"))] {
        let head = format!("MSRP abcd SEND\r\nMessage-ID: {}\r\n", "m".repeat(len));
        assert_eq!(Head::parse(head.as_bytes()).unwrap().malformed, malformed, "{len}");
    }
}

#[test]
fn a_range_speaks_of_messages_up_to_the_limit() {
    let (max, more) = (MESSAGE_OCTETS_MAX, MESSAGE_OCTETS_MAX + 1);
    assert!(ByteRange::parse(format!("{max}-{max}/{max}").as_bytes()).is_some());
    for range in [format!("{more}-*/*"), format!("1-{more}/*"), format!("1-*/{more}"), format!("1-*/{}", u64::MAX)] {
        assert_eq!(ByteRange::parse(range.as_bytes()), None, "{range}");
    }
}
