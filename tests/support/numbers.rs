//! Numbers that look random and are the same at every run with the same seed.
#![allow(dead_code, reason = "every test uses its share")]

pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 1)
    }

    pub fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }

    /// Once in so many.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.next(times) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        (!from.is_empty()).then(|| &from[self.next(from.len())])
    }

    /// Changes octets here and there: one for another, one more, one less, a span twice, a span gone, a span of another text.
    pub fn mutate(&mut self, text: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.next(8) {
            if text.is_empty() {
                return;
            }
            let at = self.next(text.len());
            let end = at + self.next((text.len() - at).min(64) + 1);
            match self.next(6) {
                0 => text[at] = self.next(256) as u8,
                1 => drop(text.remove(at)),
                2 => text.insert(at, self.next(256) as u8),
                3 => drop(text.splice(at..at, text[at..end].to_vec())),
                4 => drop(text.drain(at..end)),
                _ if !other.is_empty() => {
                    let from = self.next(other.len());
                    let span = &other[from..(from + 64).min(other.len())];
                    drop(text.splice(at..end, span.iter().copied()));
                }
                _ => {}
            }
        }
    }
}
