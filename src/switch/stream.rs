//! A message that takes more than one piece to arrive, and who gets it (RFC 7701 §6.1).
//!
//! ```text
//!   Wrapper ──headers complete──► Held ──more than is held──► Flowing ──last octet──► (gone)
//!      │                            └──last octet: out it goes as one chunk──► (gone)
//!      └──headers complete, a large message──────────────────► Flowing
//! ```

use std::time::Instant;

use bytes::Bytes;
use smallvec::SmallVec;

use super::connection::MessageId;
use crate::cpim::Scanner;
use crate::ids::SessionKey;
use crate::room::MESSAGE_ID_LEN;
use crate::session::Assembly;

/// One message in flight towards us.
#[derive(Debug)]
pub struct Stream {
    pub(super) message_id: MessageId,
    /// Its Message-ID on the way out.
    pub(super) out_id: [u8; MESSAGE_ID_LEN],
    pub(super) assembly: Assembly,
    /// Octets of the whole message, as its sender has it.
    pub(super) declared: Option<u64>,
    pub(super) success_report: bool,
    /// What a REPORT about it carries, where it is private.
    pub(super) report_cpim: Option<Box<[u8]>>,
    /// The chunk reception timer: when we give it up unless more has come.
    pub(super) deadline: Instant,
    pub(super) phase: Phase,
}

/// How far it is.
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
    pub(super) recipients: Vec<SessionKey>,
    /// Octets that have gone out. `sent <= sent + waiting == received`.
    pub(super) sent: u64,
    /// Octets of this turn, where they were received.
    pub(super) pending: SmallVec<[Bytes; 4]>,
    /// The last octet of the turns before: kept back, so that the message's last chunk is never empty.
    pub(super) last: Option<u8>,
}

impl Stream {
    /// A message of which nothing is there yet.
    pub(super) fn new(message_id: MessageId, out_id: [u8; MESSAGE_ID_LEN], deadline: Instant) -> Self {
        Self {
            message_id,
            out_id,
            assembly: Assembly::default(),
            declared: None,
            success_report: false,
            report_cpim: None,
            deadline,
            phase: Phase::Wrapper { scanner: Scanner::new(), octets: Vec::new() },
        }
    }

    /// Octets of it that are held in memory.
    pub(super) fn held_bytes(&self) -> usize {
        let octets = match &self.phase {
            Phase::Wrapper { octets, .. } | Phase::Held { octets, .. } => octets.len(),
            Phase::Flowing(_) => 0,
        };
        octets + self.assembly.held_bytes()
    }
}

impl Flow {
    /// Octets that could go out now.
    pub(super) fn waiting(&self) -> u64 {
        self.pending.iter().map(|slice| slice.len() as u64).sum::<u64>() + u64::from(self.last.is_some())
    }

    /// Takes what goes out now: the octet kept back, the slices, and whether there is anything. Keeps the last octet back
    /// unless the message ends here.
    pub(super) fn take(&mut self, ends: bool) -> (SmallVec<[u8; 1]>, SmallVec<[Bytes; 4]>) {
        let first: SmallVec<[u8; 1]> = self.last.take().into_iter().collect();
        let mut slices = std::mem::take(&mut self.pending);
        if ends {
            return (first, slices);
        }
        let Some(slice) = slices.last_mut().filter(|slice| !slice.is_empty()) else {
            self.last = first.first().copied();
            return (SmallVec::new(), slices);
        };
        self.last = slice.last().copied();
        slice.truncate(slice.len() - 1);
        slices.retain(|slice| !slice.is_empty());
        (first, slices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(flow: &mut Flow, ends: bool) -> Vec<u8> {
        let (first, slices) = flow.take(ends);
        [first.to_vec(), slices.concat()].concat()
    }

    #[test]
    fn the_last_octet_waits_for_the_next() {
        let mut flow = Flow::default();
        flow.pending.push(Bytes::from_static(b"abc"));
        flow.pending.push(Bytes::from_static(b"d"));
        assert_eq!(flow.waiting(), 4);
        assert_eq!(taken(&mut flow, false), b"abc");
        assert_eq!(taken(&mut flow, false), b"");
        flow.pending.push(Bytes::from_static(b"e"));
        assert_eq!(taken(&mut flow, false), b"d");
        assert_eq!(flow.waiting(), 1);
        assert_eq!(taken(&mut flow, true), b"e", "the end is never empty");
    }
}
