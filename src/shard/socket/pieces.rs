//! Lists of the pieces of memory that leave together. Small pieces are copied side by side, large ones stay where they are.

use std::io::IoSlice;

use super::scratch_cache::{ScratchCache, Span};
use crate::ids::ConnectionId;
use crate::limits::SEND_PIECES_MAX;
use crate::switch::{Mark, PieceSink, Switch};

/// Lists of pieces, one behind the other, and the buffer that small pieces are copied into.
pub struct Pieces {
    scratch: Box<[u8]>,
    /// Octets of the scratch buffer that are in use.
    used: usize,
    pub cache: ScratchCache,
    pieces: Vec<Piece>,
    /// Where the last list begins.
    first: usize,
    /// The pieces as the kernel takes them; see [`Pieces::locate`].
    iovecs: Vec<libc::iovec>,
    copy_below: usize,
}

#[derive(Debug, Clone, Copy)]
enum Piece {
    /// Copied.
    Scratch { at: usize, len: usize },
    /// In an outbox.
    Outbox { start: *const u8, len: usize },
}

impl Pieces {
    /// No pieces, and a buffer of `scratch_bytes` octets for copies of those below `copy_below` octets.
    #[must_use]
    pub fn new(scratch_bytes: usize, copy_below: usize) -> Self {
        Self {
            scratch: vec![0; scratch_bytes].into(),
            used: 0,
            cache: ScratchCache::default(),
            pieces: Vec::new(),
            first: 0,
            iovecs: Vec::new(),
            copy_below,
        }
    }

    /// Begins another list, and returns at which piece it begins.
    pub fn begin(&mut self) -> usize {
        self.first = self.pieces.len();
        self.first
    }

    /// Forgets all lists.
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.first = 0;
        self.used = 0;
        self.cache.restart();
    }

    /// How many octets of the scratch buffer are in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used
    }

    /// The rest of the scratch buffer. What is written at its beginning becomes a piece by [`Pieces::take_scratch`].
    pub fn free_scratch(&mut self) -> &mut [u8] {
        &mut self.scratch[self.used..]
    }

    /// The next `len` octets of the scratch buffer belong to the last list.
    pub fn take_scratch(&mut self, len: usize) {
        let used = self.used;
        self.used += len;
        let is_first = self.first == self.pieces.len();
        match self.pieces.last_mut() {
            Some(Piece::Scratch { at, len: last }) if !is_first && *at + *last == used => *last += len,
            _ => self.pieces.push(Piece::Scratch { at: used, len }),
        }
    }

    /// The pieces of all lists, as the kernel takes them.
    pub fn locate(&mut self) -> &[libc::iovec] {
        self.iovecs.clear();
        let scratch = &self.scratch;
        self.iovecs.extend(self.pieces.iter().map(|piece| {
            let (start, len) = match *piece {
                Piece::Scratch { at, len } => (scratch[at..][..len].as_ptr(), len),
                Piece::Outbox { start, len } => (start, len),
            };
            // A send does not write through it.
            libc::iovec { iov_base: start.cast_mut().cast(), iov_len: len }
        }));
        &self.iovecs
    }

    /// What [`Pieces::locate`] has found.
    #[must_use]
    pub fn iovecs(&self) -> &[libc::iovec] {
        &self.iovecs
    }

    /// Lends what waits for a connection to `take`: the first octets, `max` at most. Returns what `take` returns.
    pub fn lend<R>(
        &mut self,
        switch: &Switch,
        id: ConnectionId,
        max: usize,
        take: impl FnOnce(&[IoSlice<'_>]) -> R,
    ) -> R {
        self.clear();
        switch.gather(id, self, max);
        // SAFETY: the switch keeps its pieces where they are while it is borrowed, which it is until this returns. The copies are
        // ours.
        take(unsafe { slices(self.locate()) })
    }

    fn is_copied(&self, piece: &[u8]) -> bool {
        piece.len() < self.copy_below && piece.len() <= self.scratch.len() - self.used
    }
}

impl PieceSink for Pieces {
    fn room(&self) -> usize {
        SEND_PIECES_MAX - (self.pieces.len() - self.first)
    }

    fn push(&mut self, piece: &[u8]) {
        if self.is_copied(piece) {
            self.scratch[self.used..][..piece.len()].copy_from_slice(piece);
            self.take_scratch(piece.len());
        } else {
            self.pieces.push(Piece::Outbox { start: piece.as_ptr(), len: piece.len() });
        }
    }

    fn push_marked(&mut self, piece: &[u8], mark: Mark) {
        if !self.is_copied(piece) {
            return self.push(piece);
        }
        let at = self.used;
        if !self.cache.contains_or_insert(Span { at, len: piece.len(), mark }) {
            self.scratch[at..][..piece.len()].copy_from_slice(piece);
        }
        self.take_scratch(piece.len());
    }
}

/// The same pieces as slices.
///
/// # Safety
/// What they point to stays as it is for as long as they are borrowed.
pub unsafe fn slices(pieces: &[libc::iovec]) -> &[IoSlice<'_>] {
    // SAFETY: an IoSlice is an iovec (its documentation says so), and what they point to is there, as the caller says.
    unsafe { std::slice::from_raw_parts(pieces.as_ptr().cast::<IoSlice<'_>>(), pieces.len()) }
}
