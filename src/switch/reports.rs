//! REPORTs: those that senders get, and those that recipients send (RFC 4975 §7.1.2–7.1.4, RFC 7701 §6.2–6.3).

use rand_core::Rng;

use super::incoming::MessageId;
use super::state::Switch;
use crate::ids::SessionKey;
use crate::limits::REPORT_BODY_BYTES_MAX;
use crate::room::{Audience, MESSAGE_ID_LEN};
use parlor_proto::cpim::{Header, Wrapper};
use parlor_proto::msrp::encode::{Report, random_id, report};
use parlor_proto::msrp::{ByteRange, Head, Status};

/// A success report to be sent: a message has arrived whole.
#[derive(Debug)]
pub struct Receipt {
    /// The sender's own Message-ID.
    pub message_id: MessageId,
    /// Octets that have arrived.
    pub len: u64,
    /// What the REPORT carries, where the message was private.
    pub cpim: Option<Box<[u8]>>,
}

impl Switch {
    /// Sends the success report of a message (RFC 4975 §7.1.3). `from_path` is the From-Path of its last chunk, where
    /// that is not the path from SDP.
    pub(super) fn report_success(&mut self, key: SessionKey, receipt: &Receipt, from_path: Option<&[u8]>) {
        let tid = random_id(self.rng.next_u64());
        let Some(entry) = self.sessions.get(key) else { return };
        let Some(connection) = entry.session.connection() else { return };
        let terms = &entry.session.terms;
        let success = Report {
            tid: &tid,
            to_path: from_path.unwrap_or(terms.remote.as_str().as_bytes()),
            from_path: terms.local.as_str().as_bytes(),
            message_id: &receipt.message_id,
            byte_range: ByteRange { start: 1, end: Some(receipt.len), total: Some(receipt.len) },
            status: Status::OK,
            cpim: receipt.cpim.as_deref(),
        };
        self.egress.write_control(connection, |out| report(out, &success));
    }

    /// A recipient reports on what we sent. It is not passed on (RFC 7701 §6.3), and understood as a response would be (RFC 4975
    /// §7.3.2).
    pub(super) fn handle_report(&mut self, recipient: SessionKey, head: &Head<'_>) {
        let Some(status) = head.status.filter(|status| !status.is_success()) else { return };
        self.count_failure(status);
        let out_id = head.message_id.and_then(|id| <[u8; MESSAGE_ID_LEN]>::try_from(id).ok());
        if status == Status::STOP_SENDING
            && let Some(out_id) = out_id
            && let Some(sender) = self.senders.of(&out_id)
        {
            self.stop_stream_for(recipient, sender, &out_id);
        }
    }
}

/// The From and To of a private message, for the REPORT about it (RFC 7701 §6.2).
pub fn report_cpim(audience: &Audience, wrapper: &Wrapper<'_>) -> Option<Box<[u8]>> {
    if *audience == Audience::Room {
        return None;
    }
    let mut out = Vec::new();
    for Header { cpim_name, value, .. } in wrapper.headers() {
        let Some(name @ ("From" | "To")) = cpim_name else { continue };
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    // There is no text to report about, but a wrapper has a type (RFC 3862 §2.4).
    out.extend_from_slice(b"\r\nContent-Type: text/plain\r\n\r\n");
    // Left out only where an address has kilobytes.
    (out.len() <= REPORT_BODY_BYTES_MAX).then(|| out.into())
}
