//! The ACKs of 200s to our INVITEs (RFC 3261 §13.2.2.4).

use crate::focus::context::Context;
use crate::focus::tag::Tag;
use parlor_proto::sip::{Message, Response, cseq_number};

/// The ACK of a 200 to an INVITE of ours in a dialog (RFC 3261 §13.2.2.4).
pub fn send(cx: &mut Context<'_>, tag: Tag, number: u32) {
    let branch = cx.core.branch();
    let Some(call) = cx.calls.get_mut(tag) else { return };
    let (builder, hop) = call.dialog.ack(number, &call.sent_by, &branch);
    let bytes = Message::Request(builder.empty()).to_bytes();
    call.timing.acknowledged = Some((number, hop, bytes.clone()));
    cx.core.send(hop, bytes);
}

/// A 200 that comes again wants its ACK again.
pub fn send_again(cx: &mut Context<'_>, tag: Tag, response: &Response) {
    let again = cx.calls.get_mut(tag).and_then(|call| call.timing.acknowledged.clone());
    if let Some((number, hop, ack)) = again
        && cseq_number(&response.headers) == Some(number)
    {
        cx.core.send(hop, ack);
    }
}
