//! From outboxes to sockets: one submission for as many connections as fit.

use std::cell::RefCell;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use smallvec::SmallVec;

use super::socket::{Batch, Direct, Gathering};
use super::tls::{Flushed, TlsLink};
use crate::ids::ConnectionId;
use crate::limits::TLS_BATCHED_BYTES_MAX;
use crate::switch::Switch;

/// Octets that one connection may send in one turn.
pub const GATHER_BYTES_MAX: usize = 256 * 1024;

/// Where the octets of a connection go.
#[derive(Debug, Clone, Copy)]
pub struct Target<'f> {
    /// Its socket.
    pub socket: BorrowedFd<'f>,
    /// Its TLS, if it has any.
    pub link: Option<&'f RefCell<TlsLink>>,
}

/// The connections of a flush whose octets have not all left.
#[derive(Debug, Default)]
pub struct FlushOutcome {
    /// Their sockets have no room.
    pub would_block: SmallVec<[ConnectionId; 4]>,
    /// Their sockets have failed.
    pub failed: SmallVec<[ConnectionId; 4]>,
}

/// What a connection sends in a flush.
#[derive(Clone, Copy)]
enum Sending<'f> {
    /// So many octets of its outbox, in the batch.
    Plain(usize),
    /// Ciphertext of a link. `taken` is how many octets of its outbox were encrypted, if any could be; `flushed` is what became of
    /// it, unless it is in the batch.
    Encrypted { link: &'f RefCell<TlsLink>, taken: Option<usize>, flushed: Option<Flushed> },
}

/// Gathers what waits for the first of `ids`, until the batch is full, and submits it. Returns how many of `ids` are done.
/// `target` is where a connection's octets go, if it is still open; `submit` returns for each send how many octets the kernel took.
pub fn flush_some<'a, 'f>(
    switch: &mut Switch,
    batch: &'a mut Batch,
    ids: &[ConnectionId],
    target: impl Fn(ConnectionId) -> Option<Target<'f>>,
    submit: impl FnOnce(Gathering<'a, '_>) -> &'a [io::Result<usize>],
    outcome: &mut FlushOutcome,
) -> usize {
    let mut gathering = batch.gather(switch);
    let mut sendings: SmallVec<[(ConnectionId, Sending<'f>); 64]> = SmallVec::new();
    let mut done = 0;
    for id in ids {
        done += 1;
        let Some(Target { socket, link }) = target(*id) else { continue };
        let sending = match link {
            None => Some(Sending::Plain(gathering.add(socket, *id, GATHER_BYTES_MAX))),
            Some(link) => add_encrypted(&mut gathering, *id, socket, link),
        };
        sendings.extend(sending.map(|sending| (*id, sending)));
        if gathering.is_full() {
            break;
        }
    }
    if sendings.is_empty() {
        return done;
    }
    let mut results = submit(gathering).iter();
    let now = Instant::now();
    for (id, sending) in sendings {
        let (taken, flushed) = match sending {
            Sending::Plain(len) => results.next().map_or((None, Flushed::Closed), |result| plain_sent(len, result)),
            Sending::Encrypted { link, taken, flushed } => {
                let link = &mut *link.borrow_mut();
                link.in_flush = false;
                let sent = || results.next().map_or(Flushed::Closed, |result| encrypted_sent(link, result));
                (taken, flushed.unwrap_or_else(sent))
            }
        };
        flushed.settle(switch, id, taken, now);
        match flushed {
            Flushed::Done => {}
            Flushed::WouldBlock => outcome.would_block.push(id),
            Flushed::Closed => outcome.failed.push(id),
        }
    }
    done
}

/// Encrypts what waits for a connection. Little ciphertext goes into the batch; much is written at once, which costs less than
/// copying it.
fn add_encrypted<'s, 'f: 's>(
    gathering: &mut Gathering<'_, 's>,
    id: ConnectionId,
    socket: BorrowedFd<'f>,
    link: &'f RefCell<TlsLink>,
) -> Option<Sending<'f>> {
    let sending = |taken, flushed| Some(Sending::Encrypted { link, taken, flushed });
    let link = &mut *link.borrow_mut();
    if std::mem::replace(&mut link.in_flush, true) {
        // It is on the list twice. Its outbox still has what was encrypted.
        return None;
    }
    let (switch, plaintext) = gathering.plaintext();
    let taken = match link.encrypt_turn(switch, id, plaintext, &mut Direct(socket)) {
        Ok(taken) => taken,
        Err(flushed) => return sending(None, Some(flushed)),
    };
    let copied = gathering.add_copy(socket, |scratch| {
        let room = scratch.len().min(TLS_BATCHED_BYTES_MAX);
        link.copy_to(&mut scratch[..room])
    });
    let flushed = if copied > 0 { None } else { Some(link.write_all(&mut Direct(socket))) };
    sending(Some(taken), flushed)
}

/// Returns how many octets have left, and what became of a send of `len` octets.
fn plain_sent(len: usize, result: &io::Result<usize>) -> (Option<usize>, Flushed) {
    match result {
        Ok(n) if *n < len => (Some(*n), Flushed::WouldBlock),
        Ok(n) => (Some(*n), Flushed::Done),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => (None, Flushed::WouldBlock),
        Err(_) => (None, Flushed::Closed),
    }
}

/// Returns what became of a link's ciphertext that was in a batch.
fn encrypted_sent(link: &mut TlsLink, result: &io::Result<usize>) -> Flushed {
    let n = match result {
        Ok(n) => *n,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(_) => return Flushed::Closed,
    };
    if link.sent(n) { Flushed::Done } else { Flushed::WouldBlock }
}
