//! The receive slab of a shard: blocks that connections are read into, one at a time.
//!
//! A block is used again as soon as nothing of it is referred to, which is nearly always before the next read: small messages
//! are copied out within their turn, and what waits behind a full socket lets go of its block.

use bytes::Bytes;

use super::socket::Block;
use crate::limits::RECEIVE_BYTES_MAX;

/// The blocks of one shard.
#[derive(Debug)]
pub struct Slab {
    current: Block,
    /// Blocks that something referred to when they were put aside, oldest first.
    pinned: Vec<Block>,
}

/// Pinned blocks that are kept for later use. More than that are left to whoever refers to them.
const PINNED_BLOCKS_MAX: usize = 16;

impl Default for Slab {
    fn default() -> Self {
        Self { current: Block::new(RECEIVE_BYTES_MAX, 0), pinned: Vec::new() }
    }
}

impl Slab {
    /// Where the next read goes: [`RECEIVE_BYTES_MAX`] octets.
    pub fn writable(&mut self) -> &mut [u8] {
        if !self.current.reclaim() {
            let free = self.pinned.iter_mut().position(Block::reclaim);
            let fresh = match free {
                Some(at) => self.pinned.swap_remove(at),
                None => Block::new(RECEIVE_BYTES_MAX, 0),
            };
            let pinned = std::mem::replace(&mut self.current, fresh);
            if self.pinned.len() < PINNED_BLOCKS_MAX {
                self.pinned.push(pinned);
            }
        }
        self.current.writable()
    }

    /// The first `n` octets of what was just written.
    pub fn take(&mut self, n: usize) -> Bytes {
        self.current.take(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(slab: &mut Slab, content: &[u8]) -> Bytes {
        slab.writable()[..content.len()].copy_from_slice(content);
        slab.take(content.len())
    }

    #[test]
    fn a_block_that_nobody_refers_to_is_used_again() {
        let mut slab = Slab::default();
        let first = read(&mut slab, b"one").as_ptr();
        for _ in 0..1000 {
            assert_eq!(read(&mut slab, b"two").as_ptr(), first);
        }
        assert!(slab.pinned.is_empty());
    }

    #[test]
    fn one_read_takes_as_much_as_the_limit_says() {
        let mut slab = Slab::default();
        assert_eq!(slab.writable().len(), RECEIVE_BYTES_MAX);
        let whole = vec![b'x'; RECEIVE_BYTES_MAX];
        assert_eq!(read(&mut slab, &whole), whole);
        assert_eq!(slab.writable().len(), RECEIVE_BYTES_MAX, "the next, too");
    }

    #[test]
    fn what_is_referred_to_stays_as_it_is() {
        let mut slab = Slab::default();
        let kept: Vec<_> = (0..3u8).map(|n| read(&mut slab, &[n; 100])).collect();
        let later: Vec<_> = (0..100u8).map(|n| read(&mut slab, &[n; 100])).collect();
        for (n, bytes) in kept.iter().enumerate() {
            assert!(bytes.iter().all(|b| usize::from(*b) == n));
        }
        assert!(slab.pinned.len() <= PINNED_BLOCKS_MAX);
        let first = kept[0].as_ptr();
        drop((kept, later));
        let reused = (0..20).any(|_| {
            let bytes = read(&mut slab, b"again");
            let same = bytes.as_ptr() == first;
            std::mem::forget(bytes);
            same
        });
        assert!(reused, "a block comes back once it is let go of");
    }
}
