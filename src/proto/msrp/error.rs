//! Input that cannot be framed.

use crate::limits::{MSRP_HEAD_BYTES_MAX, MSRP_HEADERS_MAX, MSRP_START_LINE_BYTES_MAX};

/// Why a connection's bytes cannot be read on. After one of these nobody can tell where the next chunk begins, so the
/// connection is closed. What can be framed but makes no sense is no error here: [`super::Head::malformed`] says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The start line is neither a request nor a response.
    #[error("a chunk that does not begin with an MSRP start line")]
    StartLine,
    /// The transaction id is not one of RFC 4975 §9: 4 to 32 characters.
    #[error("a start line with a transaction id that is none")]
    TransactionId,
    /// The start line is too long.
    #[error("a start line of more than {MSRP_START_LINE_BYTES_MAX} octets")]
    StartLineTooLong,
    /// The head is too long.
    #[error("a header section of more than {MSRP_HEAD_BYTES_MAX} octets")]
    HeadTooLong,
    /// There are too many header lines.
    #[error("more than {MSRP_HEADERS_MAX} header lines")]
    TooManyHeaders,
    /// A line of the head is not a header.
    #[error("a header line without a colon")]
    HeaderLine,
}
