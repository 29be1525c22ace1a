//! From outboxes to sockets: one submission for as many connections as fit.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use smallvec::SmallVec;

use super::socket::{Batch, Gathering};
use crate::ids::ConnectionId;
use crate::switch::Switch;

/// Octets that one connection may send in one turn.
pub const GATHER_BYTES_MAX: usize = 256 * 1024;

/// What became of the connections of a submission that could not take everything.
#[derive(Debug, Default)]
pub struct FlushOutcome {
    /// The kernel takes no more for them at the moment.
    pub would_block: SmallVec<[ConnectionId; 4]>,
    /// Their sockets have failed.
    pub failed: SmallVec<[ConnectionId; 4]>,
}

/// Gathers what waits for the first of `ids`, until the batch is full, and submits it. Answers how many of `ids` are done
/// with. `fd` is a connection's socket, if it still has one; `submit` says for each send what the kernel took.
pub fn flush_some<'a, 'f>(
    switch: &mut Switch,
    batch: &'a mut Batch,
    ids: &[ConnectionId],
    fd: impl Fn(ConnectionId) -> Option<BorrowedFd<'f>>,
    submit: impl FnOnce(Gathering<'a, '_>) -> &'a [io::Result<usize>],
    outcome: &mut FlushOutcome,
) -> usize {
    let mut gathering = batch.gather(switch);
    let mut wanted: SmallVec<[(ConnectionId, usize); 64]> = SmallVec::new();
    let mut taken = 0;
    for id in ids {
        taken += 1;
        let Some(fd) = fd(*id) else { continue };
        wanted.push((*id, gathering.add(fd, *id, GATHER_BYTES_MAX)));
        if gathering.is_full() {
            break;
        }
    }
    if wanted.is_empty() {
        return taken;
    }
    let results = submit(gathering);
    let now = Instant::now();
    for ((id, len), result) in wanted.iter().zip(results) {
        settle_send(switch, *id, *len, result, now, outcome);
    }
    taken
}

fn settle_send(
    switch: &mut Switch,
    id: ConnectionId,
    len: usize,
    result: &io::Result<usize>,
    now: Instant,
    outcome: &mut FlushOutcome,
) {
    match result {
        Ok(n) => {
            switch.sent(id, *n, now);
            if *n < len {
                switch.blocked(id, now);
                outcome.would_block.push(id);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            switch.blocked(id, now);
            outcome.would_block.push(id);
        }
        Err(_) => outcome.failed.push(id),
    }
}
