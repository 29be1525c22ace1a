//! Memory that is read into.

use bytes::{Bytes, BytesMut};

/// A block of memory that is read into. All of it is initialised, always.
#[derive(Debug)]
pub struct Block {
    buffer: BytesMut,
    len: usize,
    room: usize,
}

impl Block {
    /// A block of `len` octets, with `room` unused octets behind it.
    #[must_use]
    pub fn new(len: usize, room: usize) -> Self {
        let mut buffer = BytesMut::zeroed(len + room);
        buffer.truncate(len);
        Self { buffer, len, room }
    }

    /// Octets that it can hold.
    #[cfg(test)]
    pub fn size(&self) -> usize {
        self.len
    }

    /// Takes back what [`Block::take`] gave out. Returns `false` if something still refers to it.
    pub fn reclaim(&mut self) -> bool {
        if self.buffer.len() == self.len {
            return true;
        }
        self.buffer.clear();
        // With the unused room, so that it begins again where it began before, which is in the cache.
        if !self.buffer.try_reclaim(self.len + self.room) {
            return false;
        }
        // SAFETY: the allocation was zeroed when it was made, `try_reclaim` has just said that `len` octets of it are ours
        // alone, and octets that were once initialised stay so.
        unsafe { self.buffer.set_len(self.len) };
        true
    }

    /// The octets to write to.
    pub fn writable(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// The first `n` octets, which may be kept for any time.
    pub fn take(&mut self, n: usize) -> Bytes {
        self.buffer.split_to(n).freeze()
    }
}
