//! What can be wrong with a wrapper.

use crate::mime::MimeError;

/// Why a body is not a Message/CPIM. The sender is at fault: 400 (RFC 7701 §6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CpimError {
    /// Malformed: a line of the first block is not a header: it has no colon, or a name with octets that are not allowed in one
    /// (RFC 3862 §3.1).
    #[error("a line of the CPIM headers is not a header")]
    Header,
    /// Malformed: an NS header (RFC 3862 §3.4).
    #[error("a namespace declaration of the CPIM headers is malformed")]
    Namespace,
    /// The MIME headers are malformed or ambiguous (RFC 3862 §2.4).
    #[error(transparent)]
    Mime(#[from] MimeError),
    /// Malformed: the message ends within its CPIM headers.
    #[error("the message ends within its CPIM headers")]
    Unfinished,
    /// Beyond a limit: the header blocks exceed `cpim_headers_bytes_max` octets.
    #[error("the CPIM headers are too long")]
    TooLong,
    /// Beyond a limit: more than `cpim_prefixes_max` prefixes are declared for CPIM's own namespace.
    #[error("the CPIM headers declare too many namespace prefixes")]
    TooManyPrefixes,
}

impl CpimError {
    /// Whether the message is beyond a limit, and not malformed.
    #[must_use]
    pub fn exceeds_limit(self) -> bool {
        match self {
            Self::TooLong | Self::TooManyPrefixes => true,
            Self::Mime(error) => error.exceeds_limit(),
            Self::Header | Self::Namespace | Self::Unfinished => false,
        }
    }
}

/// Why a wrapper does not have exactly one readable address in From or To. The sender is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The header is missing.
    #[error("the header is missing")]
    Missing,
    /// The header is there this many times.
    #[error("the header is there {0} times")]
    Several(usize),
    /// The value of the header is not an address.
    #[error("the header has no readable address")]
    Unreadable,
}
