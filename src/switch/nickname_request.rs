//! NICKNAME requests that are answered later.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::ids::ConnectionId;
use parlor_proto::msrp::{Head, TransactionId, path_uris};

/// A nickname that the focus decides about, and what the same session has asked for since. That waits: it has to be done in the
/// order in which it was asked.
#[derive(Debug)]
pub struct PendingNickname {
    /// The nickname.
    pub nickname: Arc<str>,
    /// The request for it.
    pub request: DeferredRequest,
    /// Use-Nickname as it stands in each request.
    pub later: VecDeque<(Box<[u8]>, DeferredRequest)>,
}

/// A request that has to be answered later.
#[derive(Debug)]
pub struct DeferredRequest {
    /// Where it came.
    pub connection: ConnectionId,
    /// Its transaction id.
    pub tid: TransactionId,
    /// To-Path of the response.
    pub to_path: Box<[u8]>,
    /// From-Path of the response.
    pub from_path: Box<[u8]>,
}

impl DeferredRequest {
    /// The request with this head.
    pub fn of(connection: ConnectionId, head: &Head<'_>) -> Self {
        Self {
            connection,
            tid: TransactionId::new(head.tid),
            to_path: head.from_path.into(),
            from_path: path_uris(head.to_path).next().unwrap_or_default().into(),
        }
    }
}
