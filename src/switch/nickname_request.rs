//! NICKNAME requests that are answered later.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::ids::ConnectionId;
use parlor_proto::msrp::{Head, TransactionId, path_uris};

/// A nickname that the focus decides about, and what the same session has asked for since. That waits: it has to be done in the
/// order in which it was asked.
#[derive(Debug)]
pub struct Asked {
    pub nickname: Arc<str>,
    pub request: Request,
    /// Use-Nickname as it stands in each request.
    pub later: VecDeque<(Box<[u8]>, Request)>,
}

/// A request that has to be answered later.
#[derive(Debug)]
pub struct Request {
    pub connection: ConnectionId,
    pub tid: TransactionId,
    pub to_path: Box<[u8]>,
    pub from_path: Box<[u8]>,
}

impl Request {
    /// That of a head.
    pub fn of(connection: ConnectionId, head: &Head<'_>) -> Self {
        Self {
            connection,
            tid: TransactionId::new(head.tid),
            to_path: head.from_path.into(),
            from_path: path_uris(head.to_path).next().unwrap_or_default().into(),
        }
    }
}
