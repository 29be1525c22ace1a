//! The buffers that a ring receives into: the kernel picks one when something has come, so idle connections own none.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use bytes::Bytes;
use io_uring::IoUring;
use io_uring::types::BufRingEntry;

use super::Block;
use crate::limits::RECEIVE_BYTES_MAX;

/// The one group of buffers that a shard has.
pub const GROUP: u16 = 0;
/// The kernel takes whole pages for the list.
const PAGE_BYTES: usize = 4096;
/// Blocks that something referred to when they were replaced, kept to be used again. More than that are left to whoever
/// refers to them.
const PINNED_BLOCKS_MAX: usize = 16;

/// Blocks, and the list through which the kernel gets them.
pub struct Buffers {
    /// What the kernel reads: an array of entries, the end of which stands in the first one's last field.
    list: NonNull<BufRingEntry>,
    layout: Layout,
    tail: u16,
    blocks: Vec<Block>,
    pinned: Vec<Block>,
}

impl Buffers {
    /// `count` buffers, a power of two, of which the kernel knows nothing yet.
    #[must_use]
    pub fn new(count: u16) -> Self {
        assert!(count.is_power_of_two() && count <= 1 << 15, "what the kernel takes as a list");
        let layout = Layout::array::<BufRingEntry>(usize::from(count)).and_then(|layout| layout.align_to(PAGE_BYTES));
        let layout = layout.unwrap_or_else(|_| unreachable!("a list of 32768 entries at most has a layout"));
        // SAFETY: the layout is not empty.
        let list = unsafe { alloc_zeroed(layout) };
        let Some(list) = NonNull::new(list.cast()) else { handle_alloc_error(layout) };
        let blocks = (0..count).map(|_| Block::new(RECEIVE_BYTES_MAX)).collect();
        Self { list, layout, tail: 0, blocks, pinned: Vec::new() }
    }

    /// Gives all of them to a ring.
    ///
    /// # Errors
    /// The kernel has no such lists: it is older than 5.19.
    pub fn register(&mut self, ring: &IoUring) -> io::Result<()> {
        let (address, count) = (self.list.as_ptr() as u64, self.blocks.len() as u16);
        // SAFETY: the list has `count` entries, is aligned to a page, and lives until the ring has let go of it, which the
        // owner of both sees to (see `Ring::drop`).
        unsafe { ring.submitter().register_buf_ring_with_flags(address, count, GROUP, 0)? };
        (0..count).for_each(|buffer| self.provide(buffer));
        Ok(())
    }

    /// The first `n` octets of a buffer that the kernel has written to and given up.
    pub fn take(&mut self, buffer: u16, n: usize) -> Bytes {
        self.blocks[usize::from(buffer)].take(n)
    }

    /// Gives a buffer to the kernel again, unless somebody still refers to it: `false`.
    pub fn give_back(&mut self, buffer: u16) -> bool {
        let free = self.blocks[usize::from(buffer)].reclaim();
        if free {
            self.provide(buffer);
        }
        free
    }

    /// Gives the kernel a buffer in place of one that somebody refers to for longer.
    pub fn replace(&mut self, buffer: u16) {
        if self.give_back(buffer) {
            return;
        }
        let fresh = match self.pinned.iter_mut().position(Block::reclaim) {
            Some(at) => self.pinned.swap_remove(at),
            None => Block::new(RECEIVE_BYTES_MAX),
        };
        let pinned = std::mem::replace(&mut self.blocks[usize::from(buffer)], fresh);
        if self.pinned.len() < PINNED_BLOCKS_MAX {
            self.pinned.push(pinned);
        }
        self.provide(buffer);
    }

    /// To be called with a block that is whole: reclaimed, or new.
    fn provide(&mut self, buffer: u16) {
        let mask = self.blocks.len() - 1;
        let memory = self.blocks[usize::from(buffer)].writable();
        let (address, len) = (memory.as_mut_ptr() as u64, memory.len() as u32);
        // SAFETY: the index is within the list. The kernel has read this entry long ago: there are as many entries as buffers,
        // so the one that this position held before was taken before it could come back. The tail is an aligned field that the
        // kernel only reads, and the release makes the entry visible before it.
        unsafe {
            let entry = self.list.as_ptr().add(usize::from(self.tail) & mask);
            (*entry).set_addr(address);
            (*entry).set_len(len);
            (*entry).set_bid(buffer);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(self.list.as_ptr()).cast_mut().cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and no ring knows the list any more (see `Ring::drop`).
        unsafe { dealloc(self.list.as_ptr().cast(), self.layout) };
    }
}
