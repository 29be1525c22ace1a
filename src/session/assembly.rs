//! The order of a message's octets: chunks may come out of order, overlap, and end before a gap is filled (RFC 4975 §7.3.1).
//!
//! Of overlapping octets the last to arrive count. What is there without a gap goes on at once: whether what comes again for it
//! can still take its place ([`Assembly::overlap`]) is for whoever has it. Positions count from 0 here: Byte-Range's `start` less one.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::limits::HELD_PIECES_PER_MESSAGE_MAX;

/// Which octets of a message have come. `received <= end` once the end is known, and every held piece begins behind
/// `received`. No two of them overlap.
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

    /// The octets that a piece begins with and that have come without a gap before.
    #[must_use]
    pub fn overlap<'a>(&self, position: u64, piece: &'a [u8]) -> &'a [u8] {
        let known = usize::try_from(self.received.saturating_sub(position)).unwrap_or(usize::MAX);
        &piece[..known.min(piece.len())]
    }

    /// Takes a piece at `position`. Returns the part of it that goes on now; [`Assembly::next_held`] gives what it frees.
    ///
    /// # Errors
    /// Returns [`TooScattered`] if more than `held_bytes_max` would be held.
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
        let fresh = &piece[self.overlap(position, piece).len()..];
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

    /// What is held already is written over, and what is between is held too.
    fn hold(&mut self, position: u64, piece: &[u8], held_bytes_max: usize) -> Result<(), TooScattered> {
        let missing = self.write_over(position, piece);
        let more: usize = missing.iter().map(|range| range.len()).sum();
        if self.held_bytes + more > held_bytes_max {
            return Err(TooScattered);
        }
        missing.into_iter().try_for_each(|range| self.insert(position + range.start as u64, &piece[range]))
    }

    /// Returns which parts of the piece are not held.
    fn write_over(&mut self, position: u64, piece: &[u8]) -> Vec<Range<usize>> {
        let end = position + piece.len() as u64;
        let before = self.held.range(..position).next_back();
        let first =
            before.filter(|(start, held)| *start + held.len() as u64 > position).map_or(position, |(start, _)| *start);
        let within = |at: u64| usize::try_from(at - position).unwrap_or(usize::MAX);
        let (mut missing, mut at) = (Vec::new(), position);
        for (start, held) in self.held.range_mut(first..end) {
            let (from, to) = (at.max(*start), end.min(*start + held.len() as u64));
            missing.push(within(at)..within(from));
            let old = usize::try_from(from - *start).unwrap_or(usize::MAX);
            held[old..][..within(to) - within(from)].copy_from_slice(&piece[within(from)..within(to)]);
            at = to;
        }
        missing.push(within(at)..piece.len());
        missing.retain(|range| !range.is_empty());
        missing
    }

    fn insert(&mut self, position: u64, piece: &[u8]) -> Result<(), TooScattered> {
        let full = self.held.len() >= HELD_PIECES_PER_MESSAGE_MAX;
        // A chunk that trickles in is one piece, not one for each octet.
        match self.held.range_mut(..position).next_back() {
            Some((start, before)) if start + before.len() as u64 == position => before.extend_from_slice(piece),
            _ if full => return Err(TooScattered),
            _ => {
                self.held.insert(position, piece.to_vec());
            }
        }
        self.held_bytes += piece.len();
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
    fn of_what_is_held_the_last_octets_to_come_count() {
        let mut assembly = Assembly::default();
        for (position, piece) in
            [(2, &b"aaaa"[..]), (8, b"bbbb"), (4, b"ccccc"), (14, b"dd"), (1, b"e"), (9, b"ffffffff")]
        {
            assert_eq!(feed(&mut assembly, position, piece), b"");
        }
        assert_eq!(assembly.held_bytes(), 16, "no octet is held twice");
        assert_eq!(feed(&mut assembly, 0, b"gg"), b"ggaacccccffffffff");
        assert_eq!(assembly.held_bytes(), 0);
        assert_eq!(assembly.overlap(0, b"xyz"), b"xyz");
        assert_eq!((assembly.overlap(16, b"xyz"), assembly.overlap(17, b"xyz")), (&b"x"[..], &b""[..]));
    }

    #[test]
    fn what_comes_again_for_what_is_held_takes_no_room() {
        let mut assembly = Assembly::default();
        for _ in 0..3 {
            assert_eq!(assembly.take(5, &[0; 1000], 1024), Ok(&[][..]));
        }
        assert_eq!(assembly.held_bytes(), 1000);
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
        /// Pieces that contradict one another, beside a plain array in which the last to come count until they have gone on.
        #[test]
        fn the_last_to_come_count_until_they_have_gone_on(
            pieces in prop::collection::vec((0usize..80, prop::collection::vec(any::<u8>(), 0..30)), 0..40),
        ) {
            let mut assembly = Assembly::default();
            let (mut out, mut gone, mut latest) = (Vec::new(), Vec::new(), [None; 120]);
            for (start, piece) in pieces {
                for (at, octet) in piece.iter().enumerate().filter(|(at, _)| start + at >= gone.len()) {
                    latest[start + at] = Some(*octet);
                }
                while let Some(octet) = latest.get(gone.len()).copied().flatten() {
                    gone.push(octet);
                }
                out.extend(feed_all(&mut assembly, start, &piece));
                prop_assert_eq!(&out, &gone);
                let held = latest[gone.len()..].iter().flatten().count();
                prop_assert_eq!(assembly.held_bytes(), held, "each octet is held once");
            }
        }

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
