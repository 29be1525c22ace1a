//! The bound of a gather.

use super::frame::{Mark, PieceSink};

/// Lets so many octets through, as far as the sink has room, and nothing behind what it had no room for.
pub struct Cut<'a, S> {
    left: usize,
    taken: usize,
    /// Pieces that the sink takes at least: it is asked again when they are over.
    room: usize,
    sink: &'a mut S,
}

impl<'a, S: PieceSink> Cut<'a, S> {
    /// Lets `max` octets through to `sink`.
    pub fn new(max: usize, sink: &'a mut S) -> Self {
        Self { left: max, taken: 0, room: sink.room(), sink }
    }

    /// Octets that have gone through.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Whether nothing more goes through.
    pub fn is_full(&self) -> bool {
        self.left == 0
    }

    #[inline]
    fn cut<'p>(&mut self, piece: &'p [u8]) -> Option<&'p [u8]> {
        let piece = &piece[..piece.len().min(self.left)];
        if piece.is_empty() {
            return None;
        }
        if self.room == 0 {
            self.room = self.sink.room();
            if self.room == 0 {
                self.left = 0;
                return None;
            }
        }
        self.room -= 1;
        self.left -= piece.len();
        self.taken += piece.len();
        Some(piece)
    }
}

impl<S: PieceSink> PieceSink for Cut<'_, S> {
    fn room(&self) -> usize {
        if self.left > 0 { self.sink.room() } else { 0 }
    }

    fn push(&mut self, piece: &[u8]) {
        if let Some(piece) = self.cut(piece) {
            self.sink.push(piece);
        }
    }

    fn push_marked(&mut self, piece: &[u8], mark: Mark) {
        if let Some(piece) = self.cut(piece) {
            self.sink.push_marked(piece, mark);
        }
    }
}
