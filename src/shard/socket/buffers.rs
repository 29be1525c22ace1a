//! The buffers that a ring receives into. The kernel picks one when octets have come, so idle connections own none.
//!
//! There are few at first. Their number doubles when a receive finds none, and halves when for long no more than half were needed at
//! a time.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ops::RangeInclusive;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use bytes::Bytes;
use io_uring::IoUring;
use io_uring::types::BufRingEntry;

use super::block::Block;
use crate::limits::RECEIVE_BYTES_MAX;

/// The one group of buffers that a shard has.
pub const GROUP: u16 = 0;
/// The kernel takes whole pages for the list.
const PAGE_BYTES: usize = 4096;
/// Blocks that something referred to when they were replaced, kept to be used again. More than that are freed when nothing refers
/// to them any more.
const PINNED_BLOCKS_MAX: usize = 16;
/// Blocks are this much longer than what is read into them, so that their beginnings, which are all that small messages use, do
/// not map to the same sets of a cache.
const STAGGER_BYTES: usize = 1024;
/// Receives after which the number of buffers is reviewed.
const REVIEW_AFTER: u32 = 64 * 1024;

/// Blocks, and the buffer ring through which the kernel gets them.
pub struct Buffers {
    /// The buffer ring: an array of entries, whose tail index is the last field of the first entry.
    list: NonNull<BufRingEntry>,
    layout: Layout,
    tail: u16,
    /// By buffer number. There are never more than the list has entries.
    slots: Vec<Slot>,
    /// How many buffers are in use. Those with higher numbers are dropped when they are returned.
    count: u16,
    limits: RangeInclusive<u16>,
    /// How many buffers the kernel has, and the fewest since the last review.
    free: u16,
    free_min: u16,
    received: u32,
    pinned: Vec<Block>,
    leaked: bool,
}

struct Slot {
    block: Block,
    owner: Owner,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// There is no block.
    Nobody,
    /// The kernel may write to it at any time.
    Kernel,
    /// It holds octets that were received.
    Us,
}

/// A buffer that the kernel has written to and given up, to be returned once.
#[derive(Debug)]
#[must_use = "a buffer that is not returned is never received into again"]
pub struct Taken(u16);

impl Buffers {
    /// As many buffers as `limits` says, both ends powers of two. The kernel has none of them yet.
    #[must_use]
    pub fn new(limits: RangeInclusive<u16>) -> Self {
        let (min, max) = (*limits.start(), *limits.end());
        assert!(min.is_power_of_two() && max.is_power_of_two() && max <= 1 << 15, "what the kernel takes as a list");
        let layout = Layout::array::<BufRingEntry>(usize::from(max)).and_then(|layout| layout.align_to(PAGE_BYTES));
        let layout = layout.unwrap_or_else(|_| unreachable!("a list of 32768 entries at most has a layout"));
        // SAFETY: the layout is not empty.
        let list = unsafe { alloc_zeroed(layout) };
        let Some(list) = NonNull::new(list.cast()) else { handle_alloc_error(layout) };
        Self {
            list,
            layout,
            tail: 0,
            slots: Vec::new(),
            count: min,
            limits,
            free: 0,
            free_min: min,
            received: 0,
            pinned: Vec::new(),
            leaked: false,
        }
    }

    /// Registers the buffers with a ring.
    ///
    /// # Errors
    /// Returns an error if the kernel has no buffer rings, which came with 5.19.
    pub fn register(&mut self, ring: &IoUring) -> io::Result<()> {
        let (address, entries) = (self.list.as_ptr() as u64, *self.limits.end());
        // SAFETY: the list has so many entries, is aligned to a page, and lives until it is unregistered (see `Ring::drop`).
        unsafe { ring.submitter().register_buf_ring_with_flags(address, entries, GROUP, 0)? };
        self.fill();
        Ok(())
    }

    /// How many there are.
    #[cfg(test)]
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Doubles the number of buffers, up to the limit. Returns how many more the kernel has.
    pub fn grow(&mut self) -> u16 {
        if self.count >= *self.limits.end() {
            return 0;
        }
        self.count *= 2;
        self.begin_review();
        self.fill()
    }

    /// Allocates the blocks that are missing, and gives them to the kernel. Returns how many.
    fn fill(&mut self) -> u16 {
        self.slots.resize_with(self.slots.len().max(self.count.into()), || Slot {
            block: Block::new(0, 0),
            owner: Owner::Nobody,
        });
        let missing = |slots: &[Slot], number: u16| slots[usize::from(number)].owner == Owner::Nobody;
        let mut added = 0;
        for number in 0..self.count {
            if missing(&self.slots, number) {
                self.slots[usize::from(number)] = Slot { block: new_block(), owner: Owner::Us };
                self.provide(number);
                added += 1;
            }
        }
        added
    }

    /// The first `n` octets of a buffer that the kernel has written to, and the buffer itself.
    pub fn take(&mut self, number: u16, n: usize) -> (Bytes, Taken) {
        let taken = self.take_empty(number);
        self.received += 1;
        if self.received == REVIEW_AFTER {
            self.review();
        }
        (self.slots[usize::from(number)].block.take(n), taken)
    }

    /// A buffer that the kernel has given up without writing to it.
    pub fn take_empty(&mut self, number: u16) -> Taken {
        let slot = &mut self.slots[usize::from(number)];
        assert_eq!(slot.owner, Owner::Kernel, "the kernel gives up what it has");
        slot.owner = Owner::Us;
        self.free -= 1;
        self.free_min = self.free_min.min(self.free);
        Taken(number)
    }

    /// Gives a buffer to the kernel again.
    ///
    /// # Errors
    /// Returns the buffer if something still refers to its octets.
    pub fn give_back(&mut self, taken: Taken) -> Result<(), Taken> {
        if !self.slots[usize::from(taken.0)].block.reclaim() {
            return Err(taken);
        }
        self.return_block(taken);
        Ok(())
    }

    /// Gives a buffer to the kernel again, with another block if something still refers to its octets.
    pub fn replace(&mut self, taken: Taken) {
        let Err(taken) = self.give_back(taken) else { return };
        let fresh = match self.pinned.iter_mut().position(Block::reclaim) {
            Some(at) => self.pinned.swap_remove(at),
            None => new_block(),
        };
        let pinned = std::mem::replace(&mut self.slots[usize::from(taken.0)].block, fresh);
        if self.pinned.len() < PINNED_BLOCKS_MAX {
            self.pinned.push(pinned);
        }
        self.return_block(taken);
    }

    fn return_block(&mut self, taken: Taken) {
        if taken.0 < self.count {
            self.provide(taken.0);
        } else {
            self.slots[usize::from(taken.0)] = Slot { block: Block::new(0, 0), owner: Owner::Nobody };
        }
    }

    fn review(&mut self) {
        if self.free_min >= self.count / 2 && self.count > *self.limits.start() {
            self.count /= 2;
        }
        self.begin_review();
    }

    fn begin_review(&mut self) {
        self.received = 0;
        self.free_min = self.free;
    }

    /// Puts a buffer on the list. Its block has to be ours and whole: reclaimed, or new.
    fn provide(&mut self, number: u16) {
        let mask = usize::from(*self.limits.end()) - 1;
        let slot = &mut self.slots[usize::from(number)];
        assert_eq!(slot.owner, Owner::Us, "the kernel gets what is ours");
        slot.owner = Owner::Kernel;
        let memory = slot.block.writable();
        let (address, len) = (memory.as_mut_ptr() as u64, memory.len() as u32);
        // SAFETY: the index is within the list. The kernel has read this entry: there are at least as many entries as buffers, and
        // each is in the list once at most, so the buffer that stood here before was taken. The tail is an aligned field that the
        // kernel only reads, and the release makes the entry visible before the tail.
        unsafe {
            let entry = self.list.as_ptr().add(usize::from(self.tail) & mask);
            (*entry).set_addr(address);
            (*entry).set_len(len);
            (*entry).set_bid(number);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(self.list.as_ptr()).cast_mut().cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
        self.free += 1;
    }

    /// Never frees the memory, because the kernel may still write to it.
    pub fn leak(&mut self) {
        self.leaked = true;
        std::mem::take(&mut self.slots).into_iter().for_each(std::mem::forget);
    }
}

fn new_block() -> Block {
    Block::new(RECEIVE_BYTES_MAX, STAGGER_BYTES)
}

impl Drop for Buffers {
    fn drop(&mut self) {
        if !self.leaked {
            // SAFETY: allocated with this layout, and no ring knows the list any more (see `Ring::drop`).
            unsafe { dealloc(self.list.as_ptr().cast(), self.layout) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{RECEIVE_BUFFERS_MAX, RECEIVE_BUFFERS_MIN};

    fn buffers(limits: RangeInclusive<u16>) -> Buffers {
        let mut buffers = Buffers::new(limits);
        buffers.fill();
        buffers
    }

    /// Takes so many at a time, and returns them.
    fn use_at_a_time(buffers: &mut Buffers, many: u16) {
        let numbers: Vec<u16> = buffers
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.owner == Owner::Kernel)
            .map(|(n, _)| n as u16)
            .collect();
        let taken: Vec<_> = numbers.iter().take(many.into()).map(|number| buffers.take(*number, 10)).collect();
        for (bytes, taken) in taken {
            drop(bytes);
            buffers.give_back(taken).unwrap();
        }
    }

    #[test]
    fn the_number_of_buffers_follows_the_load_and_its_limits() {
        let mut buffers = buffers(4..=16);
        assert_eq!((buffers.grow(), buffers.grow(), buffers.grow()), (4, 8, 0));
        assert_eq!((buffers.count(), buffers.free), (16, 16));
        for _ in 0..REVIEW_AFTER / 8 {
            use_at_a_time(&mut buffers, 9);
        }
        assert_eq!(buffers.count(), 16, "more than half are needed at a time");
        for _ in 0..3 * REVIEW_AFTER {
            use_at_a_time(&mut buffers, 1);
        }
        // Those that the kernel has not used since come back when it does.
        use_at_a_time(&mut buffers, 16);
        assert_eq!((buffers.count(), buffers.free), (4, 4));
        assert_eq!(buffers.slots.iter().filter(|slot| slot.block.size() > 0).count(), 4);
        assert_eq!(buffers.grow(), 4, "and it grows again");
    }

    #[test]
    fn the_buffers_of_a_shard_grow_to_their_limit() {
        let mut buffers = buffers(RECEIVE_BUFFERS_MIN..=RECEIVE_BUFFERS_MAX);
        while buffers.grow() > 0 {}
        assert_eq!((buffers.count(), buffers.free), (RECEIVE_BUFFERS_MAX, RECEIVE_BUFFERS_MAX));
        assert!(buffers.slots.iter().all(|slot| slot.block.size() == RECEIVE_BYTES_MAX));
    }

    #[test]
    fn what_is_referred_to_is_replaced_and_stays_as_it_is() {
        let mut buffers = buffers(2..=4);
        buffers.slots[0].block.writable()[..4].copy_from_slice(b"kept");
        let (bytes, taken) = buffers.take(0, 4);
        let taken = buffers.give_back(taken).unwrap_err();
        buffers.replace(taken);
        assert_eq!(buffers.free, 2);
        assert!(buffers.slots[0].block.writable()[..4] == [0; 4]);
        assert_eq!(&bytes[..], b"kept");
    }

    #[test]
    #[should_panic(expected = "the kernel gives up what it has")]
    fn a_buffer_is_not_taken_twice() {
        let mut buffers = buffers(2..=2);
        let _one = buffers.take(0, 4);
        let _other = buffers.take(0, 4);
    }
}
