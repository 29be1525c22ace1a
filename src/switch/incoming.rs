//! A chunk that is on its way in, and what is done with its body.

use smallvec::SmallVec;

use super::content::ContentLines;
use crate::ids::SessionKey;
use parlor_proto::msrp::{ByteRange, FailureReport, TransactionId};

/// A chunk whose head was read.
#[derive(Debug)]
pub struct Incoming {
    pub tid: TransactionId,
    pub failure_report: FailureReport,
    pub success_report: bool,
    /// Its From-Path, where that is not the session's remote path.
    pub from_path: Option<Box<[u8]>>,
    pub task: Task,
}

/// What is done with a chunk's body.
#[derive(Debug)]
pub enum Task {
    /// Dropped.
    Drop,
    /// Dropped, being a part of a message that was refused.
    Refused {
        /// The session that has sent it.
        session: SessionKey,
        /// Its Message-ID.
        message_id: MessageId,
    },
    /// A piece of a message.
    Message {
        /// The session that has sent it.
        session: SessionKey,
        /// Its Message-ID.
        message_id: MessageId,
        /// The Byte-Range of its head.
        range: ByteRange,
        /// Octets of the chunk so far.
        seen: u64,
        /// The Content-Type is message/cpim.
        cpim: bool,
        /// There is a Content-Type.
        typed: bool,
        /// The headers that describe the body.
        content: ContentLines,
    },
}

impl Task {
    /// Whether a chunk of which nothing has come so far has no body if it ends here. An empty body has a Content-Type, so where
    /// there is none an empty line behind the headers is one too many (RFC 4975 §7.1).
    pub fn has_no_body(&self) -> bool {
        matches!(self, Self::Message { seen: 0, typed: false, .. })
    }
}

/// A Message-ID that has to be remembered.
pub type MessageId = SmallVec<[u8; 40]>;
