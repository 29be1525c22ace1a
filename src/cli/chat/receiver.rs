//! The receiving side of an MSRP session: chunks, their responses and reports.

use super::inbox::{Inbox, Received};
use parlor_proto::msrp::encode;
use parlor_proto::msrp::{ByteRange, Continuation, FailureReport, Head, Method, MsrpUri, Status, path_uris};

/// The receiver of one session.
pub struct Receiver {
    /// The client's path.
    local: String,
    chunk: Option<Chunk>,
    inbox: Inbox,
}

/// The request that is being received.
struct Chunk {
    tid: Vec<u8>,
    reply_to: Vec<u8>,
    from_path: Vec<u8>,
    message_id: Vec<u8>,
    start: u64,
    len: u64,
    status: Status,
    failure_report: FailureReport,
    success_report: bool,
    has_body: bool,
}

impl Receiver {
    /// A receiver of a session with this local path.
    pub fn new(local: String) -> Self {
        Self { local, chunk: None, inbox: Inbox::default() }
    }

    /// Whether a message is incomplete.
    pub fn is_receiving(&self) -> bool {
        self.chunk.is_some() || self.inbox.is_receiving()
    }

    /// Begins a request.
    pub fn begin(&mut self, method: Method, head: &Head<'_>) {
        let status = match method {
            Method::Send if !self.is_addressed(head.to_path) => Status::NO_SESSION,
            Method::Send if head.message_id.is_none() || head.malformed.is_some() => Status::BAD_REQUEST,
            Method::Send => Status::OK,
            // A REPORT is not answered (RFC 4975 §7.1.2), and the client requests none.
            Method::Report => return,
            _ => Status::UNKNOWN_METHOD,
        };
        let message_id = head.message_id.unwrap_or_default().to_vec();
        let start = head.byte_range.unwrap_or(ByteRange::DEFAULT).start;
        let status = if status == Status::OK { self.inbox.begin(&message_id, start) } else { status };
        self.chunk = Some(Chunk {
            tid: head.tid.to_vec(),
            // The response to a SEND goes to the next hop, that to other methods along the whole path (RFC 4975 §7.2).
            reply_to: match method {
                Method::Send => path_uris(head.from_path).next().unwrap_or_default().to_vec(),
                _ => head.from_path.to_vec(),
            },
            from_path: head.from_path.to_vec(),
            message_id,
            start,
            len: 0,
            status,
            failure_report: head.failure_report,
            success_report: head.success_report,
            has_body: false,
        });
    }

    /// Whether a To-Path ends at this session.
    fn is_addressed(&self, to_path: &[u8]) -> bool {
        let session = |uri: &[u8]| MsrpUri::parse(uri).ok().and_then(|uri| uri.session_id.map(<[u8]>::to_vec));
        let wanted = path_uris(to_path).next_back().and_then(session);
        wanted.is_some() && wanted == session(self.local.as_bytes())
    }

    /// Adds octets of the body.
    pub fn add(&mut self, piece: &[u8]) {
        let Some(chunk) = &mut self.chunk else { return };
        chunk.has_body = true;
        if chunk.status == Status::OK {
            chunk.len += piece.len() as u64;
            self.inbox.add(&chunk.message_id, piece);
        }
    }

    /// Ends the request. Appends its response and its report to `outgoing`, the latter with the id `report_tid`. Returns the message
    /// if it is complete.
    pub fn end(&mut self, end: Continuation, report_tid: &[u8], outgoing: &mut Vec<u8>) -> Option<Received> {
        let chunk = self.chunk.take()?;
        self.respond(&chunk, outgoing);
        // The last chunk of an aborted message may have no body.
        if end == Continuation::Abort {
            self.inbox.discard(&chunk.message_id);
            return None;
        }
        if chunk.status != Status::OK || !chunk.has_body {
            self.inbox.discard_empty(&chunk.message_id);
            return None;
        }
        if end != Continuation::Complete {
            return None;
        }
        if chunk.success_report {
            self.report(&chunk, report_tid, outgoing);
        }
        self.inbox.finish(&chunk.message_id)
    }

    fn respond(&self, chunk: &Chunk, outgoing: &mut Vec<u8>) {
        let wanted = match chunk.failure_report {
            FailureReport::Yes => true,
            FailureReport::Partial => !chunk.status.is_success(),
            FailureReport::No => false,
        };
        if wanted {
            encode::response(outgoing, &chunk.tid, chunk.status, &chunk.reply_to, self.local.as_bytes());
        }
    }

    fn report(&self, chunk: &Chunk, tid: &[u8], outgoing: &mut Vec<u8>) {
        let end = chunk.start - 1 + chunk.len;
        let report = encode::Report {
            tid,
            to_path: &chunk.from_path,
            from_path: self.local.as_bytes(),
            message_id: &chunk.message_id,
            byte_range: ByteRange { start: 1, end: Some(end), total: Some(end) },
            status: Status::OK,
            cpim: None,
        };
        encode::report(outgoing, &report);
    }
}
