//! The messages that a session is sending: kept between chunks, given up in time, flushed at the end of each turn.

use std::time::Instant;

use rand_core::Rng;

use super::incoming::MessageId;
use super::state::{SessionEntry, Switch};
use super::stream::{Phase, Stream};
use super::timer::Timer;
use crate::ids::SessionKey;
use crate::limits::{REFUSED_MESSAGES_PER_SESSION_MAX, STREAMS_PER_SESSION_MAX};
use crate::room::{MESSAGE_ID_LEN, message_id_of};
use parlor_proto::msrp::{Continuation, Status};

impl Switch {
    /// The Message-ID under which a message goes out, to all its recipients and in all its chunks: its own, whatever ids clients
    /// use (RFC 4975 §7.1.1). Two devices of a user may count alike, and one that was restarted counts from 1 again.
    pub(super) fn draw_message_id(&mut self) -> [u8; MESSAGE_ID_LEN] {
        message_id_of(u128::from(self.rng.next_u64()) << 64 | u128::from(self.rng.next_u64()))
    }

    pub(super) fn new_stream(
        &mut self,
        key: SessionKey,
        message_id: MessageId,
        now: Instant,
    ) -> Result<Stream, Status> {
        let out_id = self.draw_message_id();
        let entry = self.sessions.get_mut(key).ok_or(Status::NO_SESSION)?;
        let room = self.rooms.get(entry.room).ok_or(Status::NO_SESSION)?;
        if entry.streams.len() >= STREAMS_PER_SESSION_MAX {
            return Err(Status::STOP_SENDING);
        }
        let deadline = now + room.policy.chunk_reception_timeout;
        if !std::mem::replace(&mut entry.streams_timer, true) {
            self.timers.set_earliest(Timer::Streams(key), deadline);
        }
        Ok(Stream::new(message_id, out_id, deadline))
    }

    /// Puts a stream back with its session, and counts what it holds.
    pub(super) fn store(&mut self, key: SessionKey, stream: Stream) {
        if let Some(entry) = self.sessions.get_mut(key) {
            entry.streams.push(stream);
        }
        self.book_held(key);
    }

    pub(super) fn book_held(&mut self, key: SessionKey) {
        let Some(entry) = self.sessions.get_mut(key) else { return };
        let held = entry.streams.iter().map(Stream::held_bytes).sum();
        self.held_bytes = self.held_bytes - std::mem::replace(&mut entry.held_bytes, held) + held;
    }

    /// Takes a stream from its session, to be worked on. The caller stores it again, or ends it and counts what is held.
    pub(super) fn take_stream(&mut self, key: SessionKey, message_id: &[u8]) -> Option<Stream> {
        let streams = &mut self.sessions.get_mut(key)?.streams;
        let at = streams.iter().position(|stream| stream.message_id[..] == *message_id)?;
        Some(streams.swap_remove(at))
    }

    /// A sender aborts its message: it is aborted for all recipients that have a part of it.
    pub(super) fn abort_stream(&mut self, key: SessionKey, message_id: &[u8], now: Instant) {
        if let Some(mut stream) = self.take_stream(key, message_id) {
            self.egress.counters.aborted += 1;
            self.senders.end(&stream.out_id);
            self.abort_for_all(key, &mut stream, now);
            self.book_held(key);
        }
    }

    /// A message is refused, in the middle of a chunk or, with `end`, behind it. Chunks of it that were sent before the refusal
    /// was seen are refused too; without that each would begin a message of which the first part never comes.
    pub(super) fn refuse_message(
        &mut self,
        key: SessionKey,
        message_id: &MessageId,
        status: Status,
        end: Option<Continuation>,
        now: Instant,
    ) {
        self.abort_stream(key, message_id, now);
        self.forget_refusal(key, message_id);
        let Some(entry) = self.sessions.get_mut(key) else { return };
        if matches!(end, None | Some(Continuation::More)) {
            if entry.refused.len() >= REFUSED_MESSAGES_PER_SESSION_MAX {
                entry.refused.remove(0);
            }
            entry.refused.push((message_id.clone(), status));
        }
    }

    /// The status that a message was refused with, if it was.
    pub(super) fn refusal(&self, key: SessionKey, message_id: &[u8]) -> Option<Status> {
        let mut refused = self.sessions.get(key)?.refused.iter();
        refused.find(|(id, _)| id[..] == *message_id).map(|(_, status)| *status)
    }

    pub(super) fn forget_refusal(&mut self, key: SessionKey, message_id: &[u8]) {
        if let Some(entry) = self.sessions.get_mut(key) {
            entry.refused.retain(|(id, _)| id[..] != *message_id);
        }
    }

    /// The sender is gone, and with it the rest of what it was sending.
    pub(super) fn drop_streams(&mut self, key: SessionKey, now: Instant) {
        while let Some(mut stream) = self.sessions.get_mut(key).and_then(|entry| entry.streams.pop()) {
            self.egress.counters.aborted += 1;
            self.senders.end(&stream.out_id);
            self.abort_for_all(key, &mut stream, now);
        }
        if let Some(entry) = self.sessions.get_mut(key) {
            entry.refused.clear();
        }
        self.book_held(key);
    }

    /// The chunk reception timer (RFC 7701 §6.1).
    pub(super) fn check_streams(&mut self, key: SessionKey, now: Instant) {
        let Some(entry) = self.sessions.get_mut(key) else { return };
        let late: Vec<_> = entry.streams.iter().filter(|s| s.deadline <= now).map(|s| s.message_id.clone()).collect();
        let next = entry.streams.iter().map(|stream| stream.deadline).filter(|at| *at > now).min();
        entry.streams_timer = next.is_some();
        if let Some(at) = next {
            self.timers.set_earliest(Timer::Streams(key), at);
        }
        for message_id in late {
            self.refuse_message(key, &message_id, Status::STOP_SENDING, None, now);
        }
    }

    /// The turn is over: what came of streams goes out, and nothing refers to the receive slab any more.
    pub(super) fn end_turn(&mut self, now: Instant) {
        while let Some(key) = self.flowing.pop() {
            while let Some(mut stream) = self.sessions.get_mut(key).and_then(SessionEntry::take_flowing) {
                self.emit(key, &mut stream, false, now);
                if let Some(entry) = self.sessions.get_mut(key) {
                    entry.streams.push(stream);
                }
            }
            self.book_held(key);
        }
    }
}

impl SessionEntry {
    /// Takes a stream of which something came in this turn.
    fn take_flowing(&mut self) -> Option<Stream> {
        let came = |stream: &Stream| matches!(&stream.phase, Phase::Flowing(flow) if !flow.pending.is_empty());
        let at = self.streams.iter().position(came)?;
        Some(self.streams.swap_remove(at))
    }
}
