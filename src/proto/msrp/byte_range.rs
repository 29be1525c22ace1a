//! The Byte-Range header (RFC 4975 §7.1.1, §9).

use std::fmt;

use crate::limits::MESSAGE_OCTETS_MAX;

/// Which octets of a message a chunk carries. Positions are counted in octets from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// Position of the chunk's first octet.
    pub start: u64,
    /// Position of the chunk's last octet; `None` is `*`: not known when the chunk began.
    pub end: Option<u64>,
    /// Octets of the whole message; `None` is `*`: not known.
    pub total: Option<u64>,
}

impl ByteRange {
    /// The range of a chunk without a Byte-Range header (RFC 4975 §7.1.1).
    pub const DEFAULT: Self = Self { start: 1, end: None, total: None };

    /// Parses a header value, `start-end/total`. Returns `None` for anything else, for a start of 0, and for positions beyond
    /// [`MESSAGE_OCTETS_MAX`].
    ///
    /// ```
    /// use parlor_proto::msrp::ByteRange;
    ///
    /// let range = ByteRange::parse(b"1-25/*");
    /// assert_eq!(range, Some(ByteRange { start: 1, end: Some(25), total: None }));
    /// assert_eq!(ByteRange::parse(b"0-25/25"), None);
    /// ```
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let dash = memchr::memchr(b'-', value)?;
        let slash = dash + memchr::memchr(b'/', &value[dash..])?;
        let range = Self {
            start: number(&value[..dash])?,
            end: number_or_star(&value[dash + 1..slash])?,
            total: number_or_star(&value[slash + 1..])?,
        };
        (range.start > 0).then_some(range)
    }
}

fn number_or_star(text: &[u8]) -> Option<Option<u64>> {
    if text == b"*" { Some(None) } else { number(text).map(Some) }
}

fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |sum, &b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit).filter(|sum| *sum <= MESSAGE_OCTETS_MAX)
    })
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-", self.start)?;
        match self.end {
            Some(end) => write!(f, "{end}/")?,
            None => f.write_str("*/")?,
        }
        match self.total {
            Some(total) => write!(f, "{total}"),
            None => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_round_trip() {
        for text in ["1-25/25", "1-*/*", "1-0/0", "2049-*/5000", "1-25/*", "4611686018427387904-*/*"] {
            assert_eq!(ByteRange::parse(text.as_bytes()).unwrap().to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "1",
            "1-",
            "1-2",
            "1-2/",
            "-2/3",
            "a-2/3",
            "1-2/3/4",
            "1--2/3",
            "0-2/3",
            "+1-2/3",
            "99999999999999999999-*/*",
            "18446744073709551615-*/*",
            "1-*/4611686018427387905",
        ] {
            assert_eq!(ByteRange::parse(text.as_bytes()), None, "{text}");
        }
    }
}
