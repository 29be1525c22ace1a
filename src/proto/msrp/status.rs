//! Status codes of responses and of the Status header of a REPORT (RFC 4975 §7.1.2, §10; RFC 7701 §10.3).

/// A three-digit status code.
///
/// ```
/// use parlor_proto::msrp::Status;
///
/// let status = Status::parse_header(b"000 425 Nickname reserved or already in use").unwrap();
/// assert_eq!(status, Status::NICKNAME_TAKEN);
/// assert!(!status.is_success());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Status(pub u16);

impl Status {
    /// 200: the request succeeded.
    pub const OK: Self = Self(200);
    /// 400: the request is malformed.
    pub const BAD_REQUEST: Self = Self(400);
    /// 403: the action is not allowed.
    pub const FORBIDDEN: Self = Self(403);
    /// 404: the CPIM To header names no participant (RFC 7701 §6.2).
    pub const NOT_FOUND: Self = Self(404);
    /// 408: a response did not arrive in time.
    pub const TIMED_OUT: Self = Self(408);
    /// 413: the sender should stop sending this message.
    pub const STOP_SENDING: Self = Self(413);
    /// 415: the media type is not accepted.
    pub const UNSUPPORTED_MEDIA: Self = Self(415);
    /// 424: the nickname is not well formed (RFC 7701 §7.1).
    pub const MALFORMED_NICKNAME: Self = Self(424);
    /// 425: the nickname belongs to another participant (RFC 7701 §7.1).
    pub const NICKNAME_TAKEN: Self = Self(425);
    /// 428: the recipient does not support private messages (RFC 7701 §6.2).
    pub const PRIVATE_UNSUPPORTED: Self = Self(428);
    /// 481: there is no such session.
    pub const NO_SESSION: Self = Self(481);
    /// 501: the method is unknown.
    pub const UNKNOWN_METHOD: Self = Self(501);
    /// 506: the session is bound to another connection.
    pub const BOUND_ELSEWHERE: Self = Self(506);

    /// Whether the code is in the range 200 to 299.
    #[must_use]
    pub fn is_success(self) -> bool {
        self.0 / 100 == 2
    }

    /// Parses the value of a Status header: the namespace 000, a code, and an optional comment (RFC 4975 §7.1.2). Returns `None` for
    /// another namespace or anything else.
    #[must_use]
    pub fn parse_header(value: &[u8]) -> Option<Self> {
        let mut words = value.split(|&b| b == b' ').filter(|word| !word.is_empty());
        (words.next()? == b"000").then_some(())?;
        Self::parse_code(words.next()?)
    }

    /// Parses a code of exactly three digits. Returns `None` for anything else.
    #[must_use]
    pub fn parse_code(digits: &[u8]) -> Option<Self> {
        let &[a, b, c] = digits else { return None };
        let digit = |b: u8| b.is_ascii_digit().then(|| u16::from(b - b'0'));
        Some(Self(digit(a)? * 100 + digit(b)? * 10 + digit(c)?))
    }

    /// The phrase that is written after the code, for people; `"Unknown"` for a code that this crate does not know.
    #[must_use]
    pub fn comment(self) -> &'static str {
        match self.0 {
            200 => "OK",
            400 => "Bad request",
            403 => "Forbidden",
            404 => "Failure to resolve recipient's URI",
            408 => "Transaction timed out",
            413 => "Stop sending this message",
            415 => "Unsupported media type",
            423 => "Parameter out of bounds",
            424 => "Malformed nickname",
            425 => "Nickname reserved or already in use",
            428 => "Private messages not supported",
            481 => "No such session",
            501 => "Unknown method",
            506 => "Session bound to another connection",
            _ => "Unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_header_is_read() {
        assert_eq!(Status::parse_header(b"000 200 OK"), Some(Status::OK));
        assert_eq!(Status::parse_header(b"000 413"), Some(Status::STOP_SENDING));
        for bad in [&b"200 OK"[..], b"001 200", b"000", b"000 20", b"000 2000", b"000 x00"] {
            assert_eq!(Status::parse_header(bad), None);
        }
        assert!(Status(202).is_success() && !Status(403).is_success());
    }
}
