//! Every maximum of the grammar: named constants, and [`Limits`], which holds them as values.
//!
//! Parsers use the defaults unless they are given a [`Limits`]: constructors named `with_limits` and functions whose names end in
//! `_with` take one.
//!
//! ```
//! use parlor_proto::limits::Limits;
//! use parlor_proto::msrp::{ChunkParser, ParseError};
//!
//! let mut limits = Limits::default();
//! limits.msrp_start_line_bytes_max = 20;
//! let mut parser = ChunkParser::with_limits(&limits);
//! let mut input = &b"MSRP a786hjs2 SOMETHING_LONG\r\n"[..];
//! assert_eq!(parser.next(&mut input).err(), Some(ParseError::StartLineTooLong));
//! ```
//!
//! Three maxima are part of the formats and no option: [`TRANSACTION_ID_BYTES_MIN`], [`TRANSACTION_ID_BYTES_MAX`] and
//! [`MESSAGE_OCTETS_MAX`].

/// Octets in the start line of an MSRP chunk, its CR included.
pub const MSRP_START_LINE_BYTES_MAX: usize = 1024;
/// Octets in the whole header section of an MSRP chunk, start line included.
pub const MSRP_HEAD_BYTES_MAX: usize = 16 * 1024;
/// Header lines in an MSRP chunk, To-Path and From-Path included.
pub const MSRP_HEADERS_MAX: usize = 128;
/// URIs in one To-Path, From-Path or `a=path`.
pub const MSRP_PATH_URIS_MAX: usize = 16;
/// Octets in the longest transaction id (RFC 4975 §9).
pub const TRANSACTION_ID_BYTES_MAX: usize = 32;
/// Octets in the shortest transaction id (RFC 4975 §9).
pub const TRANSACTION_ID_BYTES_MIN: usize = 4;
/// Octets in a Message-ID.
pub const MESSAGE_ID_BYTES_MAX: usize = 128;
/// Octets of the longest message that a Byte-Range may describe. The sum of two positions does not overflow a `u64`.
pub const MESSAGE_OCTETS_MAX: u64 = 1 << 62;
/// Octets in the header blocks of a Message/CPIM body, its MIME headers included.
pub const CPIM_HEADERS_BYTES_MAX: usize = 16 * 1024;
/// Prefixes that one Message/CPIM may declare for the namespace of RFC 3862 itself.
pub const CPIM_PREFIXES_MAX: usize = 8;
/// Octets of one SIP message, on any transport.
pub const SIP_MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Header fields in one SIP message.
pub const SIP_HEADERS_MAX: usize = 128;
/// Octets of one SIP header field, its folds included.
pub const SIP_HEADER_BYTES_MAX: usize = 8 * 1024;
/// Media ranges in one `a=accept-types` or `a=accept-wrapped-types`.
pub const ACCEPT_TYPES_MAX: usize = 64;
/// Octets of one such list, its spaces included.
pub const ACCEPT_TYPES_BYTES_MAX: usize = 2048;
/// Media lines in one session description; each has to be answered.
pub const SDP_MEDIA_LINES_MAX: usize = 16;
/// Recipients on one list of an INVITE.
pub const RECIPIENTS_MAX: usize = 100;
/// Parts of one multipart body, those of nested bodies included.
pub const BODY_PARTS_MAX: usize = 16;
/// Levels of multipart bodies within one another.
pub const BODY_NESTING_MAX: usize = 4;
/// Levels of elements within one another in a conference document.
pub const CONFERENCE_INFO_DEPTH_MAX: usize = 32;

const _: () = assert!(TRANSACTION_ID_BYTES_MIN <= TRANSACTION_ID_BYTES_MAX);
const _: () = Limits::DEFAULT.assert_consistent();

/// The maxima that parsers hold to. Each field defaults to the constant of the same name.
///
/// Parsers keep limits as 32-bit numbers: a larger value counts as [`u32::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Octets in the start line of an MSRP chunk, its CR included: [`MSRP_START_LINE_BYTES_MAX`].
    pub msrp_start_line_bytes_max: usize,
    /// Octets in the header section of an MSRP chunk, start line included: [`MSRP_HEAD_BYTES_MAX`]. A chunk parser buffers up to
    /// this much of a head that has not arrived completely.
    pub msrp_head_bytes_max: usize,
    /// Header lines in an MSRP chunk: [`MSRP_HEADERS_MAX`].
    pub msrp_headers_max: usize,
    /// URIs in one path: [`MSRP_PATH_URIS_MAX`].
    pub msrp_path_uris_max: usize,
    /// Octets in a Message-ID: [`MESSAGE_ID_BYTES_MAX`].
    pub message_id_bytes_max: usize,
    /// Octets in the header blocks of a Message/CPIM body: [`CPIM_HEADERS_BYTES_MAX`].
    pub cpim_headers_bytes_max: usize,
    /// Prefixes that one Message/CPIM may declare for CPIM's own namespace: [`CPIM_PREFIXES_MAX`].
    pub cpim_prefixes_max: usize,
    /// Octets of one SIP message: [`SIP_MESSAGE_BYTES_MAX`].
    pub sip_message_bytes_max: usize,
    /// Header fields in one SIP message: [`SIP_HEADERS_MAX`].
    pub sip_headers_max: usize,
    /// Octets of one SIP header field: [`SIP_HEADER_BYTES_MAX`].
    pub sip_header_bytes_max: usize,
    /// Media ranges in one list of types: [`ACCEPT_TYPES_MAX`].
    pub accept_types_max: usize,
    /// Octets of one list of types: [`ACCEPT_TYPES_BYTES_MAX`].
    pub accept_types_bytes_max: usize,
    /// Media lines in one session description: [`SDP_MEDIA_LINES_MAX`].
    pub sdp_media_lines_max: usize,
    /// Recipients on one list: [`RECIPIENTS_MAX`].
    pub recipients_max: usize,
    /// Parts of one multipart body: [`BODY_PARTS_MAX`].
    pub body_parts_max: usize,
    /// Levels of multipart bodies within one another: [`BODY_NESTING_MAX`].
    pub body_nesting_max: usize,
    /// Levels of elements within one another in a conference document: [`CONFERENCE_INFO_DEPTH_MAX`].
    pub conference_info_depth_max: usize,
}

impl Limits {
    /// The defaults, for use in constants.
    pub const DEFAULT: Self = Self {
        msrp_start_line_bytes_max: MSRP_START_LINE_BYTES_MAX,
        msrp_head_bytes_max: MSRP_HEAD_BYTES_MAX,
        msrp_headers_max: MSRP_HEADERS_MAX,
        msrp_path_uris_max: MSRP_PATH_URIS_MAX,
        message_id_bytes_max: MESSAGE_ID_BYTES_MAX,
        cpim_headers_bytes_max: CPIM_HEADERS_BYTES_MAX,
        cpim_prefixes_max: CPIM_PREFIXES_MAX,
        sip_message_bytes_max: SIP_MESSAGE_BYTES_MAX,
        sip_headers_max: SIP_HEADERS_MAX,
        sip_header_bytes_max: SIP_HEADER_BYTES_MAX,
        accept_types_max: ACCEPT_TYPES_MAX,
        accept_types_bytes_max: ACCEPT_TYPES_BYTES_MAX,
        sdp_media_lines_max: SDP_MEDIA_LINES_MAX,
        recipients_max: RECIPIENTS_MAX,
        body_parts_max: BODY_PARTS_MAX,
        body_nesting_max: BODY_NESTING_MAX,
        conference_info_depth_max: CONFERENCE_INFO_DEPTH_MAX,
    };

    /// What has to hold between limits so that each can be reached.
    const fn assert_consistent(&self) {
        assert!(self.msrp_start_line_bytes_max < self.msrp_head_bytes_max);
        assert!(self.message_id_bytes_max < self.msrp_head_bytes_max);
        assert!(self.sip_header_bytes_max < self.sip_message_bytes_max);
        assert!(self.sip_headers_max < self.sip_message_bytes_max);
        assert!(self.accept_types_max < self.accept_types_bytes_max);
        assert!(self.cpim_prefixes_max < self.cpim_headers_bytes_max);
        assert!(self.body_nesting_max <= self.body_parts_max);
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A limit as parsers keep it.
pub(crate) fn compact(limit: usize) -> u32 {
    if limit > u32::MAX as usize { u32::MAX } else { limit as u32 }
}
