//! Session descriptions (RFC 8866) for MSRP (RFC 4975 §8, RFC 7701 §8, RFC 6135, RFC 6714, RFC 8122).
//!
//! [`Description`] parses a description; [`Description::offered_media`] and [`Description::answered_media`] select the message media
//! in it that can be used. [`LocalMedia`] writes a description: an offer, or the answer to one. [`LocalTerms`] writes what could be
//! negotiated.
//!
//! ```
//! use parlor_proto::msrp::Path;
//! use parlor_proto::sdp::{Capabilities, ChatroomTokens, Description, LocalMedia, LocalTerms, Origin, Setup};
//!
//! let path = Path::parse(b"msrp://192.0.2.1:9/jshA7weztas;tcp")?;
//! let terms = LocalTerms {
//!     host: "192.0.2.1",
//!     ipv6: false,
//!     accept_wrapped_types: &["text/plain".to_owned()],
//!     chatroom: ChatroomTokens { nickname: true, private_messages: true },
//!     max_size: 0,
//!     subject: None,
//! };
//! // A client that connects: port 9 is never listened on (RFC 4145 §4.1).
//! let local = LocalMedia { terms, port: 9, path: &path, setup: Setup::Active, fingerprints: &[] };
//! let offer = local.offer(Origin { id: 1, version: 1 });
//!
//! // The other end, which listens:
//! let capabilities = Capabilities { plain: true, tls: false, listen: true, connect: false };
//! let media = Description::parse(offer.as_bytes())?.offered_media(capabilities)?;
//! assert_eq!(media.path, path);
//! assert!(media.wrapped_types().is_some_and(|types| types.accepts("text/plain")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accept_types;
mod charset;
mod description;
mod fingerprint;
mod media;
mod write;

pub use accept_types::AcceptTypes;
pub use description::{Capabilities, Description, MediaError, MessageMedia, SdpError};
pub use fingerprint::{Fingerprint, HashFunction};
pub use media::{ChatroomTokens, Direction, Setup};
pub use write::{LocalMedia, LocalTerms, Origin};
