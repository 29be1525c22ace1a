//! Reassembly of received messages from their chunks.

use std::collections::HashMap;

use parlor_proto::cpim::{Header, Wrapper, parse_complete};
use parlor_proto::msrp::Status;

/// Incomplete messages at a time.
const MESSAGES_MAX: usize = 64;
/// Octets of a message that are kept. Of a longer one only the size is shown.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// A complete message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The URI of its sender.
    pub from: String,
    /// The display name of its sender.
    pub name: Option<String>,
    /// The URI of its recipient.
    pub to: String,
    /// Its content.
    pub content: Content,
}

/// The content of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Text.
    Text(String),
    /// A typing notification or a delivery report, which is not shown.
    Status,
    /// Content that a terminal cannot show.
    Other {
        /// Its media type, without parameters.
        media_type: String,
        /// Its size in octets.
        octets: u64,
    },
}

/// The incomplete messages.
#[derive(Debug, Default)]
pub struct Inbox {
    parts: HashMap<Vec<u8>, Part>,
}

#[derive(Debug, Default)]
struct Part {
    kept: Vec<u8>,
    octets: u64,
}

impl Inbox {
    /// Whether a message is incomplete.
    pub fn is_receiving(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Begins a chunk at the octet `start`, counted from 1. Returns the status for it: the server sends chunks in order, so one that
    /// leaves a gap belongs to a message that cannot be completed.
    pub fn begin(&mut self, message_id: &[u8], start: u64) -> Status {
        if start == 1 {
            if self.parts.len() >= MESSAGES_MAX {
                return Status::STOP_SENDING;
            }
            self.parts.insert(message_id.to_vec(), Part::default());
            return Status::OK;
        }
        match self.parts.get(message_id) {
            Some(part) if part.octets == start - 1 => Status::OK,
            _ => {
                self.discard(message_id);
                Status::STOP_SENDING
            }
        }
    }

    /// Adds octets of the chunk.
    pub fn add(&mut self, message_id: &[u8], piece: &[u8]) {
        let Some(part) = self.parts.get_mut(message_id) else { return };
        let room = KEPT_BYTES_MAX.saturating_sub(part.kept.len());
        part.kept.extend_from_slice(&piece[..piece.len().min(room)]);
        part.octets += piece.len() as u64;
    }

    /// Discards an incomplete message.
    pub fn discard(&mut self, message_id: &[u8]) {
        self.parts.remove(message_id);
    }

    /// Discards a message without octets, as a keep-alive is.
    pub fn discard_empty(&mut self, message_id: &[u8]) {
        if self.parts.get(message_id).is_some_and(|part| part.octets == 0) {
            self.discard(message_id);
        }
    }

    /// Completes a message; `None` if it is not valid CPIM.
    pub fn finish(&mut self, message_id: &[u8]) -> Option<Received> {
        let part = self.parts.remove(message_id)?;
        let wrapper = parse_complete(&part.kept).ok()?;
        let lossy = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let from = wrapper.header("From").as_ref().and_then(Header::address)?;
        Some(Received {
            from: lossy(from.uri),
            name: from.name,
            to: lossy(wrapper.to().ok()?),
            content: content(&wrapper, &part),
        })
    }
}

fn content(wrapper: &Wrapper<'_>, part: &Part) -> Content {
    let media_type = wrapper.media_type().unwrap_or("application/octet-stream").to_ascii_lowercase();
    let octets = part.octets - wrapper.content_offset as u64;
    let whole = part.kept.len() as u64 == part.octets;
    match media_type.as_str() {
        "application/im-iscomposing+xml" | "message/imdn+xml" => Content::Status,
        "text/plain" if whole => {
            Content::Text(String::from_utf8_lossy(&part.kept[wrapper.content_offset..]).into_owned())
        }
        _ => Content::Other { media_type, octets },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(message: &[u8]) -> Option<Received> {
        let mut inbox = Inbox::default();
        assert_eq!(inbox.begin(b"1", 1), Status::OK);
        inbox.add(b"1", message);
        inbox.finish(b"1")
    }

    #[test]
    fn text_is_kept_and_other_content_is_described() {
        let message =
            |mime: &str| format!("From: Bob <sip:b@h>\r\nTo: <sip:r@h>\r\n\r\n{mime}\r\n\r\nhello").into_bytes();
        let text = received(&message("Content-Type: text/plain;charset=utf-8")).unwrap();
        assert_eq!((text.name.as_deref(), text.from.as_str(), text.to.as_str()), (Some("Bob"), "sip:b@h", "sip:r@h"));
        assert_eq!(text.content, Content::Text("hello".into()));
        let image = received(&message("Content-type: image/PNG; x=y")).unwrap();
        assert_eq!(image.content, Content::Other { media_type: "image/png".into(), octets: 5 });
        let typing = received(&message("Content-Type: application/im-iscomposing+xml")).unwrap();
        assert_eq!(typing.content, Content::Status);
        assert_eq!(received(b"nonsense"), None);
    }

    #[test]
    fn a_long_message_is_reduced_to_its_size() {
        let head = b"From: <sip:b@h>\r\nTo: <sip:r@h>\r\n\r\nContent-Type: text/plain\r\n\r\n";
        let message = [&head[..], &vec![b'x'; KEPT_BYTES_MAX]].concat();
        let octets = KEPT_BYTES_MAX as u64;
        assert_eq!(received(&message).unwrap().content, Content::Other { media_type: "text/plain".into(), octets });
    }

    #[test]
    fn a_chunk_after_a_gap_is_refused() {
        let mut inbox = Inbox::default();
        assert_eq!(inbox.begin(b"1", 5), Status::STOP_SENDING);
        assert_eq!(inbox.begin(b"1", 1), Status::OK);
        inbox.add(b"1", b"abc");
        assert_eq!(inbox.begin(b"1", 4), Status::OK);
        assert_eq!(inbox.begin(b"1", 9), Status::STOP_SENDING);
        assert!(!inbox.is_receiving());
    }

    #[test]
    fn incomplete_messages_are_limited() {
        let mut inbox = Inbox::default();
        for i in 0..MESSAGES_MAX {
            assert_eq!(inbox.begin(&i.to_le_bytes(), 1), Status::OK);
        }
        assert_eq!(inbox.begin(b"more", 1), Status::STOP_SENDING);
    }
}
