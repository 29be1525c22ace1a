//! Every maximum that the grammar holds to. Units and qualifiers last.

/// Octets in the start line of an MSRP chunk, its CR included.
pub const MSRP_START_LINE_BYTES_MAX: usize = 1024;
/// Octets in the whole header section of an MSRP chunk, start line included.
pub const MSRP_HEAD_BYTES_MAX: usize = 16 * 1024;
/// Header lines in an MSRP chunk, To-Path and From-Path included.
pub const MSRP_HEADERS_MAX: usize = 128;
/// URIs in one To-Path or From-Path.
pub const MSRP_PATH_URIS_MAX: usize = 16;
/// Octets in a transaction id (RFC 4975 §9: 4 to 32).
pub const TRANSACTION_ID_BYTES_MAX: usize = 32;
/// Octets in the fewest-octet transaction id.
pub const TRANSACTION_ID_BYTES_MIN: usize = 4;
/// Octets in a Message-ID that we keep for correlating chunks.
pub const MESSAGE_ID_BYTES_MAX: usize = 128;
/// Octets of the longest message that a Byte-Range may speak of: sums of two positions do not overflow.
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
/// Media ranges in one `a=accept-types` or `a=accept-wrapped-types`; a description with more is refused.
pub const ACCEPT_TYPES_MAX: usize = 64;
/// Octets of one such list, its spaces included.
pub const ACCEPT_TYPES_BYTES_MAX: usize = 2048;
/// Media lines in one session description; each has to be answered.
pub const SDP_MEDIA_LINES_MAX: usize = 16;
/// Recipients on one list of an INVITE.
pub const RECIPIENTS_MAX: usize = 100;
/// Parts of one multipart body, those of bodies within it included.
pub const BODY_PARTS_MAX: usize = 16;
/// Multipart bodies within one another.
pub const BODY_NESTING_MAX: usize = 4;
/// Elements within one another in a conference document.
pub const CONFERENCE_INFO_DEPTH_MAX: usize = 32;

const _: () = assert!(MSRP_START_LINE_BYTES_MAX < MSRP_HEAD_BYTES_MAX);
const _: () = assert!(TRANSACTION_ID_BYTES_MIN <= TRANSACTION_ID_BYTES_MAX);
