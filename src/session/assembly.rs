//! The order of a message's octets: chunks may come out of order, overlap, and end before a gap is filled (RFC 4975 §7.3.1).
//!
//! What is there without a gap goes on at once and cannot be taken back, so of overlapping octets the first to arrive without
//! a gap count. Positions count from 0 here: Byte-Range's `start` less one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::limits::HELD_PIECES_PER_MESSAGE_MAX;

/// Which octets of a message have come. `received <= end` once the end is known, and every held piece begins behind
/// `received`.
#[derive(Debug, Default)]
pub struct Assembly {
    received: u64,
    end: Option<u64>,
    /// Pieces behind a gap, by position.
    held: BTreeMap<u64, Vec<u8>>,
    held_bytes: usize,
}

/// The octets behind a gap are more than may be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message has too much behind a gap")]
pub struct TooScattered;

impl Assembly {
    /// Octets that have come without a gap.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Octets held behind a gap.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether the message is there whole.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.end.is_some_and(|end| self.received >= end)
    }

    /// Takes a piece at `position`. Answers the part of it that goes on now; [`Assembly::next_held`] gives what it frees.
    ///
    /// # Errors
    /// [`TooScattered`] where more than `held_bytes_max` would be held.
    pub fn take<'a>(
        &mut self,
        position: u64,
        piece: &'a [u8],
        held_bytes_max: usize,
    ) -> Result<&'a [u8], TooScattered> {
        if position > self.received {
            self.hold(position, piece, held_bytes_max)?;
            return Ok(&[]);
        }
        let known = usize::try_from(self.received - position).unwrap_or(usize::MAX).min(piece.len());
        let fresh = &piece[known..];
        let fresh = match self.end {
            Some(end) => {
                &fresh[..fresh.len().min(usize::try_from(end.saturating_sub(self.received)).unwrap_or(usize::MAX))]
            }
            None => fresh,
        };
        self.received += fresh.len() as u64;
        Ok(fresh)
    }

    /// The next piece that was held and has no gap before it any more.
    pub fn next_held(&mut self) -> Option<Vec<u8>> {
        loop {
            let entry = self.held.first_entry()?;
            if *entry.key() > self.received {
                return None;
            }
            let (position, mut piece) = entry.remove_entry();
            self.held_bytes -= piece.len();
            let fresh = self.take(position, &piece, 0).map_or(0, <[u8]>::len);
            if fresh > 0 {
                let known = usize::try_from(self.received - fresh as u64 - position).unwrap_or(0);
                piece.truncate(known + fresh);
                piece.drain(..known);
                return Some(piece);
            }
        }
    }

    /// The position behind the furthest octet that has come, gap or no gap.
    #[must_use]
    pub fn furthest(&self) -> u64 {
        let held = self.held.iter().map(|(position, piece)| position + piece.len() as u64).max();
        held.unwrap_or(0).max(self.received)
    }

    /// A chunk with `$` ended at `position`, which is the message's length (RFC 4975 §7.3.1).
    pub fn end_at(&mut self, position: u64) {
        self.end = Some(position.max(self.received));
    }

    fn hold(&mut self, position: u64, piece: &[u8], held_bytes_max: usize) -> Result<(), TooScattered> {
        if self.held_bytes + piece.len() > held_bytes_max {
            return Err(TooScattered);
        }
        if piece.is_empty() {
            return Ok(());
        }
        // A chunk that trickles in is one piece, not one for each octet.
        if let Some((start, before)) = self.held.range_mut(..position).next_back()
            && start + before.len() as u64 == position
        {
            before.extend_from_slice(piece);
            self.held_bytes += piece.len();
            return Ok(());
        }
        let full = self.held.len() >= HELD_PIECES_PER_MESSAGE_MAX;
        match self.held.entry(position) {
            Entry::Occupied(slot) if slot.get().len() >= piece.len() => {}
            Entry::Occupied(mut slot) => {
                self.held_bytes += piece.len() - slot.get().len();
                slot.insert(piece.to_vec());
            }
            Entry::Vacant(_) if full => return Err(TooScattered),
            Entry::Vacant(slot) => {
                self.held_bytes += piece.len();
                slot.insert(piece.to_vec());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn feed(assembly: &mut Assembly, position: u64, piece: &[u8]) -> Vec<u8> {
        let mut out = assembly.take(position, piece, 1024).unwrap().to_vec();
        while let Some(held) = assembly.next_held() {
            out.extend(held);
        }
        out
    }

    #[test]
    fn chunks_in_order_pass_through() {
        let mut assembly = Assembly::default();
        assert_eq!(feed(&mut assembly, 0, b"abc"), b"abc");
        assert_eq!(feed(&mut assembly, 3, b"def"), b"def");
        assert!(!assembly.is_complete());
        assembly.end_at(6);
        assert!(assembly.is_complete());
    }

    #[test]
    fn a_gap_holds_back_and_the_end_may_come_before_it_is_filled() {
        let mut assembly = Assembly::default();
        assert_eq!(feed(&mut assembly, 6, b"ghi"), b"");
        assembly.end_at(9);
        assert_eq!(feed(&mut assembly, 3, b"def"), b"");
        assert!(!assembly.is_complete());
        assert_eq!(feed(&mut assembly, 0, b"abc"), b"abcdefghi");
        assert!(assembly.is_complete());
        assert_eq!(assembly.held_bytes(), 0);
    }

    #[test]
    fn overlaps_are_trimmed() {
        let mut assembly = Assembly::default();
        assert_eq!(feed(&mut assembly, 0, b"abcd"), b"abcd");
        assert_eq!(feed(&mut assembly, 2, b"XXef"), b"ef");
        assert_eq!(feed(&mut assembly, 1, b"XX"), b"");
        assert_eq!(feed(&mut assembly, 8, b"ij"), b"");
        assert_eq!(feed(&mut assembly, 5, b"Xghi"), b"ghij");
    }

    #[test]
    fn pieces_behind_a_gap_are_counted_too() {
        let mut assembly = Assembly::default();
        for n in 0..HELD_PIECES_PER_MESSAGE_MAX as u64 {
            assert!(assembly.take(2 + 2 * n, b"x", usize::MAX / 2).is_ok());
        }
        assert_eq!(assembly.take(1_000_000, b"x", usize::MAX / 2), Err(TooScattered));
        assert_eq!(assembly.take(3, b"y", usize::MAX / 2), Ok(&[][..]), "what goes on with one is no other");
        assert_eq!(assembly.held_bytes(), HELD_PIECES_PER_MESSAGE_MAX + 1);
    }

    #[test]
    fn too_much_behind_a_gap_is_an_error() {
        let mut assembly = Assembly::default();
        assert!(assembly.take(5, &[0; 1000], 1024).is_ok());
        assert_eq!(assembly.take(2000, &[0; 100], 1024), Err(TooScattered));
    }

    #[test]
    fn the_longer_of_two_held_pieces_counts() {
        for pieces in [[(3, &b"de"[..]), (3, b"def")], [(3, b"def"), (3, b"de")]] {
            let mut assembly = Assembly::default();
            for (position, piece) in pieces {
                assert_eq!(feed(&mut assembly, position, piece), b"");
            }
            assert_eq!(assembly.held_bytes(), 3);
            assert_eq!(feed(&mut assembly, 0, b"abc"), b"abcdef");
        }
    }

    proptest! {
        /// However a message is cut and shuffled, and whatever of it comes twice or overlaps, what comes out is the message, once.
        /// Each piece comes once: what is lost stays lost.
        #[test]
        fn the_message_comes_out(
            message in prop::collection::vec(any::<u8>(), 1..200),
            cuts in prop::collection::vec(0usize..200, 0..30),
            others in prop::collection::vec((0usize..200, 1usize..60), 0..30),
            order in prop::collection::vec(any::<u32>(), 62),
        ) {
            let len = message.len();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut % len).chain([0, len]).collect();
            cuts.sort_unstable();
            let parts = cuts.windows(2).map(|pair| (pair[0], pair[1]));
            let others = others.iter().map(|(start, size)| (start % len, (start % len + size).min(len)));
            let mut pieces: Vec<_> = parts.chain(others).zip(order).collect();
            pieces.sort_unstable_by_key(|(_, order)| *order);
            let mut assembly = Assembly::default();
            let mut out = Vec::new();
            for ((start, end), _) in pieces {
                out.extend(feed_all(&mut assembly, start, &message[start..end]));
                prop_assert_eq!(&out[..], &message[..out.len()]);
                prop_assert_eq!(out.len() as u64, assembly.received());
            }
            assembly.end_at(len as u64);
            prop_assert_eq!(out, message);
            prop_assert!(assembly.is_complete());
            prop_assert_eq!(assembly.held_bytes(), 0);
        }
    }

    fn feed_all(assembly: &mut Assembly, position: usize, piece: &[u8]) -> Vec<u8> {
        let mut out = assembly.take(position as u64, piece, usize::MAX / 2).unwrap().to_vec();
        while let Some(held) = assembly.next_held() {
            out.extend(held);
        }
        out
    }
}
