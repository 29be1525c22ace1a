//! Input that cannot be framed.

/// Why the octets of a connection cannot be framed. The peer is at fault: its input is malformed, or exceeds a limit of
/// [`Limits`](crate::limits::Limits). Nobody can know where the next chunk begins, so close the connection.
///
/// A chunk that can be framed although a header value is malformed is no error here: see [`Head::malformed`](super::Head::malformed).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Malformed: the start line is neither a request nor a response.
    #[error("a chunk that does not begin with an MSRP start line")]
    StartLine,
    /// Malformed: the transaction id does not match the grammar of RFC 4975 §9, which has 4 to 32 characters.
    #[error("a start line with an invalid transaction id")]
    TransactionId,
    /// Malformed: a line of the head is not a header.
    #[error("a header line without a colon")]
    HeaderLine,
    /// Beyond a limit: the start line exceeds `msrp_start_line_bytes_max` octets.
    #[error("a start line that is too long")]
    StartLineTooLong,
    /// Beyond a limit: the header section exceeds `msrp_head_bytes_max` octets.
    #[error("a header section that is too long")]
    HeadTooLong,
    /// Beyond a limit: there are more than `msrp_headers_max` header lines.
    #[error("too many header lines")]
    TooManyHeaders,
}

impl ParseError {
    /// Whether the input is beyond a limit, and not malformed.
    #[must_use]
    pub fn exceeds_limit(self) -> bool {
        matches!(self, Self::StartLineTooLong | Self::HeadTooLong | Self::TooManyHeaders)
    }
}
