//! A message that takes more than one piece to arrive, and who gets it (RFC 7701 §6.1).
//!
//! ```text
//!   Wrapper ──headers complete──► Held ──more than is held──► Flowing ──last octet──► (gone)
//!      │                            └──last octet: out it goes as one chunk──► (gone)
//!      └──headers complete, a large message──────────────────► Flowing
//! ```
//!
//! It goes back from Held to Wrapper where octets come again with other values.

use std::time::Instant;

use bytes::Bytes;
use smallvec::SmallVec;

use super::content::ContentLines;
use super::incoming::MessageId;
use crate::ids::SessionKey;
use crate::limits::FORWARDED_CHUNK_BYTES_MIN;
use crate::room::MESSAGE_ID_LEN;
use crate::session::Assembly;
use parlor_proto::cpim::Scanner;

/// One message in flight towards us.
#[derive(Debug)]
pub struct Stream {
    pub message_id: MessageId,
    /// Its Message-ID on the way out.
    pub out_id: [u8; MESSAGE_ID_LEN],
    pub assembly: Assembly,
    /// Octets of the whole message, as its sender has it.
    pub declared: Option<u64>,
    pub success_report: bool,
    /// The headers of its first chunk that describe the body.
    pub content: ContentLines,
    /// Octets have come again with other values: its recipients are to be decided anew before anything of it goes out.
    pub rewritten: bool,
    /// It is for one user, and refused if that cannot take it.
    pub private: bool,
    /// It only tells about other messages.
    pub reports: bool,
    /// What a REPORT about it carries, where it is private.
    pub report_cpim: Option<Box<[u8]>>,
    /// The chunk reception timer: when we give it up unless more has come.
    pub deadline: Instant,
    pub phase: Phase,
}

/// How far a message has come.
#[derive(Debug)]
pub enum Phase {
    /// Its CPIM headers are not complete.
    Wrapper {
        /// Looks for their end.
        scanner: Scanner,
        /// All of it so far.
        octets: Vec<u8>,
    },
    /// Its recipients are known; it goes out when it is complete.
    Held {
        /// Who gets it: those who were there when it began.
        recipients: Vec<SessionKey>,
        /// All of it so far.
        octets: Vec<u8>,
    },
    /// It goes out as it comes.
    Flowing(Flow),
}

/// A message that goes out as it comes.
#[derive(Debug, Default)]
pub struct Flow {
    /// Who gets it and can still take it.
    pub recipients: Vec<SessionKey>,
    /// Octets that have gone out. `sent <= sent + waiting == received`.
    pub sent: u64,
    /// Octets of this turn, where they were received.
    pub pending: SmallVec<[Bytes; 4]>,
    /// Octets of the turns before that are too few for a chunk of their own. Once something has gone out there is one at
    /// least, so that the message's last chunk is never empty.
    pub tail: Vec<u8>,
}

impl Stream {
    /// A message of which nothing is there yet.
    pub fn new(message_id: MessageId, out_id: [u8; MESSAGE_ID_LEN], deadline: Instant) -> Self {
        Self {
            message_id,
            out_id,
            assembly: Assembly::default(),
            declared: None,
            success_report: false,
            content: None,
            rewritten: false,
            private: false,
            reports: false,
            report_cpim: None,
            deadline,
            phase: Phase::Wrapper { scanner: Scanner::new(), octets: Vec::new() },
        }
    }

    /// Octets have come again from `position` on. Where nothing has gone out the last to come count (RFC 4975 §7.3.1), and its sender
    /// and recipients are to be found out anew.
    pub fn rewrite(&mut self, position: u64, again: &[u8]) {
        let (Phase::Wrapper { octets, .. } | Phase::Held { octets, .. }) = &mut self.phase else { return };
        let start = usize::try_from(position).unwrap_or(usize::MAX);
        let Some(before) = start.checked_add(again.len()).and_then(|end| octets.get_mut(start..end)) else { return };
        if before == again {
            return;
        }
        before.copy_from_slice(again);
        self.phase = Phase::Wrapper { scanner: Scanner::new(), octets: std::mem::take(octets) };
        self.rewritten = true;
    }

    /// Octets of it that are held in memory.
    pub fn held_bytes(&self) -> usize {
        let octets = match &self.phase {
            Phase::Wrapper { octets, .. } | Phase::Held { octets, .. } => octets.len(),
            Phase::Flowing(flow) => flow.tail.len(),
        };
        octets + self.assembly.held_bytes() + self.content.as_deref().map_or(0, <[u8]>::len)
    }
}

impl Flow {
    /// A message that was held until now.
    pub fn of(recipients: Vec<SessionKey>, octets: Vec<u8>) -> Self {
        Self { recipients, sent: 0, pending: SmallVec::from_iter([Bytes::from(octets)]), tail: Vec::new() }
    }

    /// Octets that have not gone out.
    pub fn waiting(&self) -> u64 {
        self.pending.iter().map(|slice| slice.len() as u64).sum::<u64>() + self.tail.len() as u64
    }

    /// Takes what goes out now: first the octets kept back, then the slices. Nothing of either goes out if they are too few for
    /// a chunk of their own (RFC 4975 §7.1.1) and the message does not end here. A sender that lets a message trickle
    /// would otherwise cost every recipient a chunk for each octet.
    pub fn take(&mut self, ends: bool) -> (Vec<u8>, SmallVec<[Bytes; 4]>) {
        if !ends && self.waiting() <= FORWARDED_CHUNK_BYTES_MIN as u64 {
            for slice in self.pending.drain(..) {
                self.tail.extend_from_slice(&slice);
            }
            return (Vec::new(), SmallVec::new());
        }
        let mut first = std::mem::take(&mut self.tail);
        let mut slices = std::mem::take(&mut self.pending);
        if !ends {
            let kept = match slices.iter_mut().rfind(|slice| !slice.is_empty()) {
                Some(slice) => slice.split_off(slice.len() - 1).to_vec(),
                None => first.split_off(first.len() - 1),
            };
            self.tail = kept;
        }
        slices.retain(|slice| !slice.is_empty());
        (first, slices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn taken(flow: &mut Flow, ends: bool) -> Vec<u8> {
        let (first, slices) = flow.take(ends);
        [first, slices.concat()].concat()
    }

    #[test]
    fn the_last_octet_waits_for_the_next() {
        let mut flow = Flow::of(Vec::new(), vec![b'a'; 3000]);
        assert_eq!(taken(&mut flow, false).len(), 2999);
        assert_eq!(taken(&mut flow, false), b"");
        assert_eq!(flow.waiting(), 1);
        assert_eq!(taken(&mut flow, true), b"a", "the end is never empty");
    }

    #[test]
    fn what_is_too_little_for_a_chunk_waits() {
        let mut flow = Flow::of(Vec::new(), vec![b'a'; FORWARDED_CHUNK_BYTES_MIN]);
        assert_eq!(taken(&mut flow, false), b"");
        assert!(flow.pending.is_empty(), "and does not pin what it was received in");
        flow.pending.push(Bytes::from_static(b"b"));
        assert_eq!(taken(&mut flow, false), vec![b'a'; FORWARDED_CHUNK_BYTES_MIN]);
        assert_eq!(taken(&mut flow, true), b"b");
    }

    proptest! {
        #[test]
        fn every_octet_is_taken_once_in_whatever_turns_it_arrives(turns in prop::collection::vec(
            prop::collection::vec(0usize..3000, 0..4), 1..12)) {
            let mut flow = Flow::default();
            let (mut put, mut got, mut n) = (Vec::new(), Vec::new(), 0u8);
            for turn in turns {
                for len in turn {
                    n = n.wrapping_add(1);
                    put.extend(vec![n; len]);
                    flow.pending.push(Bytes::from(vec![n; len]));
                }
                let chunk = taken(&mut flow, false);
                prop_assert!(chunk.is_empty() || chunk.len() >= FORWARDED_CHUNK_BYTES_MIN);
                prop_assert!(flow.pending.is_empty());
                got.extend(chunk);
                prop_assert!(put.is_empty() || flow.waiting() > 0);
            }
            got.extend(taken(&mut flow, true));
            prop_assert_eq!(got, put);
        }
    }
}
