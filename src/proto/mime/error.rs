//! What can be wrong with MIME headers. Each of these is the sender's fault, and a 400 to it.

use crate::limits::BODY_PARTS_MAX;

/// Why a body has no one meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MimeError {
    /// A line is neither a header field nor the continuation of one (RFC 5322 §2.2).
    #[error("a line of the MIME headers is not a header")]
    Line,
    /// A header that decides what becomes of the body, or a parameter of one, stands twice.
    #[error("a MIME header or a parameter of it stands twice")]
    Repeated,
    /// A header that decides cannot be read.
    #[error("a MIME header cannot be read")]
    Value,
    /// A multipart body is not what RFC 2046 §5.1.1 makes it, or has more than [`BODY_PARTS_MAX`] parts.
    #[error("a multipart body cannot be taken apart, or has more than {BODY_PARTS_MAX} parts")]
    Parts,
}
