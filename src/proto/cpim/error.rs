//! What can be wrong with a wrapper. Each of these is the sender's fault and a 400 to it (RFC 7701 §6.1).

use crate::limits::CPIM_HEADERS_BYTES_MAX;
use crate::mime::MimeError;

/// Why a body is no Message/CPIM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CpimError {
    /// The header blocks do not end within the limit.
    #[error("the CPIM headers are longer than {CPIM_HEADERS_BYTES_MAX} octets")]
    TooLong,
    /// A line of the first block is no header: no colon, or a name with octets that no name has (RFC 3862 §3.1).
    #[error("a line of the CPIM headers is not a header")]
    Header,
    /// An NS header cannot be read, or there are too many (§3.4).
    #[error("a namespace of the CPIM headers cannot be resolved")]
    Namespace,
    /// The MIME headers have no one meaning (§2.4).
    #[error(transparent)]
    Mime(#[from] MimeError),
    /// The message ended within its CPIM headers.
    #[error("the message ends within its CPIM headers")]
    Unfinished,
}

/// Why a wrapper names no single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The header is not there.
    #[error("the header is missing")]
    Missing,
    /// The header is there this many times.
    #[error("the header stands {0} times")]
    Several(usize),
    /// What stands there is no address.
    #[error("the header has no readable address")]
    Unreadable,
}
