//! Reassembly: the pieces of a message are put in order, and its recipients are decided (RFC 4975 §7.3.1, RFC 7701 §6).

use std::time::Instant;

use bytes::Bytes;
use parlor_proto::cpim;
use parlor_proto::msrp::Status;

use super::piece::{Piece, check_direction, check_size, slice_of};
use super::reports::report_cpim;
use super::state::Switch;
use super::stream::{Flow, Phase, Stream};
use crate::ids::SessionKey;
use crate::limits::{FRAME_SLICES_MAX, HELD_BYTES_PER_SESSION_MAX, HELD_BYTES_PER_SHARD_MAX};
use crate::room::{Audience, wrapped_type};
use crate::session::is_reporting;

impl Switch {
    /// Takes a piece at its position, and what it frees behind it.
    pub(super) fn feed(
        &mut self,
        key: SessionKey,
        stream: &mut Stream,
        piece: &Piece<'_>,
        now: Instant,
    ) -> Result<(), Status> {
        let entry = self.sessions.get(key).ok_or(Status::NO_SESSION)?;
        let policy = self.rooms.get(entry.room).ok_or(Status::NO_SESSION)?.policy.clone();
        check_size(policy.max_message_size, stream.declared.unwrap_or(0).max(piece.end_position()))?;
        stream.deadline = now + policy.chunk_reception_timeout;
        self.reserve_space(key, stream, piece)?;
        stream.rewrite(piece.position, stream.assembly.overlap(piece.position, piece.octets));
        let fresh = stream.assembly.take(piece.position, piece.octets, policy.forward_whole_up_to);
        let fresh = fresh.map_err(|_| Status::STOP_SENDING)?;
        self.absorb(key, stream, fresh, piece.bytes, now)?;
        while let Some(held) = stream.assembly.next_held() {
            let held = Bytes::from(held);
            self.absorb(key, stream, &held, &held, now)?;
        }
        // In the middle of what comes again, old octets and new ones do not belong together.
        if stream.rewritten && (piece.end.is_some() || !fresh.is_empty()) {
            self.check_rewritten(key, stream)?;
        }
        let abandoned = matches!(&stream.phase, Phase::Flowing(flow) if flow.recipients.is_empty());
        if stream.private && abandoned { Err(Status::STOP_SENDING) } else { Ok(()) }
    }

    /// Whether a piece may be held, where it has to be. Where too much is held already, a message whose recipients are known
    /// goes out from here on as it comes.
    fn reserve_space(&mut self, key: SessionKey, stream: &mut Stream, piece: &Piece<'_>) -> Result<(), Status> {
        let len = piece.octets.len();
        let of_session = self.sessions.get(key).map_or(0, |entry| entry.held_bytes);
        if of_session + len <= HELD_BYTES_PER_SESSION_MAX && self.held_bytes + len <= HELD_BYTES_PER_SHARD_MAX {
            return Ok(());
        }
        if piece.position > stream.assembly.received() {
            return Err(Status::STOP_SENDING);
        }
        match &stream.phase {
            Phase::Flowing(_) => Ok(()),
            Phase::Held { .. } => {
                self.start_flow(key, stream);
                Ok(())
            }
            Phase::Wrapper { .. } => Err(Status::STOP_SENDING),
        }
    }

    /// Takes the next octets of a message in order.
    fn absorb(
        &mut self,
        key: SessionKey,
        stream: &mut Stream,
        fresh: &[u8],
        bytes: &Bytes,
        now: Instant,
    ) -> Result<(), Status> {
        if fresh.is_empty() {
            return Ok(());
        }
        match &mut stream.phase {
            Phase::Wrapper { scanner, octets } => {
                octets.extend_from_slice(fresh);
                if !stream.rewritten && scanner.feed(fresh).map_err(|_| Status::BAD_REQUEST)?.is_some() {
                    self.address(key, stream)?;
                }
            }
            Phase::Held { octets, .. } => octets.extend_from_slice(fresh),
            Phase::Flowing(flow) => {
                flow.pending.push(slice_of(bytes, fresh));
                if flow.pending.len() >= FRAME_SLICES_MAX {
                    self.emit(key, stream, false, now);
                }
            }
        }
        self.flow_if_large(key, stream);
        Ok(())
    }

    fn flow_if_large(&mut self, key: SessionKey, stream: &mut Stream) {
        if matches!(stream.phase, Phase::Held { .. }) && self.is_large(key, stream) {
            self.start_flow(key, stream);
        }
        if matches!(stream.phase, Phase::Flowing(_)) && self.flowing.last() != Some(&key) {
            self.flowing.push(key);
        }
    }

    /// A message of which octets came again with other values is addressed anew: once it is whole, as is one that was not addressed
    /// yet, or here, where more of it has come than is held.
    fn check_rewritten(&mut self, key: SessionKey, stream: &mut Stream) -> Result<(), Status> {
        if !self.is_large(key, stream) {
            return Ok(());
        }
        stream.rewritten = false;
        let Phase::Wrapper { scanner, octets } = &mut stream.phase else { return Ok(()) };
        if scanner.feed(octets).map_err(|_| Status::BAD_REQUEST)?.is_some() {
            self.address(key, stream)?;
            self.flow_if_large(key, stream);
        }
        Ok(())
    }

    /// The CPIM headers are there: decides who gets the message. Later joiners get nothing of it.
    pub(super) fn address(&mut self, key: SessionKey, stream: &mut Stream) -> Result<(), Status> {
        let Phase::Wrapper { octets, .. } = &mut stream.phase else { return Ok(()) };
        let entry = self.sessions.get(key).ok_or(Status::NO_SESSION)?;
        let room = self.rooms.get(entry.room).ok_or(Status::NO_SESSION)?;
        let wrapper = cpim::parse_complete(octets).map_err(|_| Status::BAD_REQUEST)?;
        check_direction(&entry.session, &wrapper)?;
        let audience = room.audience(&wrapper, |uri| entry.session.is_known_as(uri))?;
        let recipients = self.recipients(key, &audience, &wrapper, stream.declared.unwrap_or(0));
        stream.private = audience != Audience::Room;
        stream.reports = is_reporting(wrapped_type(&wrapper));
        if stream.private && recipients.is_empty() {
            return Err(Status::STOP_SENDING);
        }
        stream.report_cpim = report_cpim(&audience, &wrapper);
        stream.phase = Phase::Held { recipients, octets: std::mem::take(octets) };
        Ok(())
    }

    /// Whether a message is, or is declared to be, larger than what is held until it is complete.
    fn is_large(&self, key: SessionKey, stream: &Stream) -> bool {
        let (Phase::Wrapper { octets, .. } | Phase::Held { octets, .. }) = &stream.phase else { return false };
        let room = self.sessions.get(key).and_then(|entry| self.rooms.get(entry.room));
        let limit = room.map_or(0, |room| room.policy.forward_whole_up_to);
        octets.len() > limit || stream.declared.is_some_and(|total| total > limit as u64)
    }

    fn start_flow(&mut self, key: SessionKey, stream: &mut Stream) {
        if let Phase::Held { recipients, octets } = &mut stream.phase {
            self.senders.begin(stream.out_id, key);
            stream.phase = Phase::Flowing(Flow::of(std::mem::take(recipients), std::mem::take(octets)));
        }
    }
}
