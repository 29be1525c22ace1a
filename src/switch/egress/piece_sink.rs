//! Where octets that leave are put, and the bound of how many leave at once.

/// Where the octets that wait for a connection are put: an array of pieces, a scratch buffer, a TLS record.
pub trait PieceSink {
    /// How many more pieces it takes, at least. At 0 it takes none until it is begun anew.
    fn room(&self) -> usize {
        usize::MAX
    }

    /// Takes the next octets. They stay where they are until the switch is called again.
    fn push(&mut self, piece: &[u8]);

    /// Takes the next octets, which others get too: whatever comes with this mark begins with the same octets, always.
    fn push_marked(&mut self, piece: &[u8], mark: Mark) {
        let _ = mark;
        self.push(piece);
    }
}

/// Identifies octets that several connections get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The number of the page; numbers are not used again.
    pub page: u64,
    /// The offset on the page.
    pub at: usize,
}

/// Passes so many octets on to a sink, as far as that has room, and nothing behind what it had no room for.
pub struct BoundedSink<'a, S> {
    max: usize,
    left: usize,
    /// Pieces that the sink takes at least: it is asked again when they are over.
    room: usize,
    sink: &'a mut S,
}

impl<'a, S: PieceSink> BoundedSink<'a, S> {
    /// Passes `max` octets on to `sink`.
    pub fn new(max: usize, sink: &'a mut S) -> Self {
        Self { max, left: max, room: sink.room(), sink }
    }

    /// Octets that were passed on.
    pub fn taken(&self) -> usize {
        self.max - self.left
    }

    /// Whether nothing more is passed on.
    pub fn is_full(&self) -> bool {
        self.left == 0
    }

    /// Passes the next octets on; see [`PieceSink::push`].
    #[inline]
    pub fn push(&mut self, piece: &[u8]) {
        if let Some(piece) = self.clip(piece) {
            self.sink.push(piece);
        }
    }

    /// Passes the next octets on; see [`PieceSink::push_marked`].
    #[inline]
    pub fn push_marked(&mut self, piece: &[u8], mark: Mark) {
        if let Some(piece) = self.clip(piece) {
            self.sink.push_marked(piece, mark);
        }
    }

    #[inline]
    fn clip<'p>(&mut self, piece: &'p [u8]) -> Option<&'p [u8]> {
        let piece = &piece[..piece.len().min(self.left)];
        if piece.is_empty() {
            return None;
        }
        if self.room == 0 {
            self.room = self.sink.room();
            if self.room == 0 {
                self.max -= self.left;
                self.left = 0;
                return None;
            }
        }
        self.room -= 1;
        self.left -= piece.len();
        Some(piece)
    }
}

impl PieceSink for Vec<u8> {
    fn push(&mut self, piece: &[u8]) {
        self.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many pieces.
    struct Few(usize, Vec<u8>);

    impl PieceSink for Few {
        fn room(&self) -> usize {
            self.0
        }

        fn push(&mut self, piece: &[u8]) {
            self.0 -= 1;
            self.1.extend_from_slice(piece);
        }
    }

    #[test]
    fn octets_go_through_up_to_the_bound() {
        let mut out = Vec::new();
        let mut sink = BoundedSink::new(5, &mut out);
        for piece in [&b"abc"[..], b"", b"def", b"ghi"] {
            sink.push(piece);
        }
        assert!(sink.is_full());
        assert_eq!((sink.taken(), &out[..]), (5, &b"abcde"[..]));
    }

    #[test]
    fn nothing_goes_through_behind_a_piece_that_there_was_no_room_for() {
        let mut few = Few(2, Vec::new());
        let mut sink = BoundedSink::new(100, &mut few);
        for piece in [&b"ab"[..], b"", b"cd", b"ef"] {
            assert!(!sink.is_full());
            sink.push(piece);
        }
        assert!(sink.is_full(), "it has asked for room, and there was none");
        sink.push_marked(b"gh", Mark { page: 1, at: 0 });
        assert_eq!((sink.taken(), &few.1[..]), (4, &b"abcd"[..]));
    }
}
