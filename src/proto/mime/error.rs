//! What can be wrong with MIME headers and multipart bodies.

/// Why a body cannot be read, or can be read in more than one way. The sender is at fault: 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MimeError {
    /// Malformed: a line is neither a header field nor the continuation of one (RFC 5322 §2.2).
    #[error("a line of the MIME headers is not a header")]
    Line,
    /// Ambiguous: a header that describes the body, or a parameter of one, is there twice.
    #[error("a MIME header or a parameter of it is repeated")]
    Repeated,
    /// Malformed: the value of a header that describes the body.
    #[error("the value of a MIME header is malformed")]
    Value,
    /// Malformed: a multipart body that does not match RFC 2046 §5.1.1.
    #[error("a multipart body is malformed")]
    Parts,
    /// Beyond a limit: a multipart body has more than `body_parts_max` parts.
    #[error("a multipart body has too many parts")]
    TooManyParts,
}

impl MimeError {
    /// Whether the body is beyond a limit, and not malformed.
    #[must_use]
    pub fn exceeds_limit(self) -> bool {
        self == Self::TooManyParts
    }
}
