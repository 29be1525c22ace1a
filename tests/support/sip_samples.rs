//! SIP messages as files in tests/wire, and random changes of octets, the same in every run.

use std::path::{Path, PathBuf};

/// The samples of a folder, each with its name.
pub fn samples(folder: &str) -> Vec<(String, Vec<u8>)> {
    // The crate of the grammar is two folders below the samples.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = if env!("CARGO_PKG_NAME") == "parlor-proto" { package.join("../..") } else { package.to_owned() };
    let folder = root.join("tests/wire").join(folder);
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "sip")).collect();
    files.sort();
    let name = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

/// All of them.
pub fn all_samples() -> Vec<(String, Vec<u8>)> {
    ["sip", "sip/rfc4475", "sip/rfc5118"].into_iter().flat_map(samples).collect()
}

/// A generator that gives the same numbers in every run (xorshift).
pub struct Chance(pub u64);

impl Chance {
    /// A number below `limit`, which is above 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    /// Changes one to five places.
    pub fn mutate(&mut self, octets: &mut Vec<u8>) {
        const PIECES: [&[u8]; 10] =
            [b"\r\n", b";", b",", b"\"", b"<", b":", b"%", b"=", b"\r\n\r\n", b"99999999999999999999"];
        for _ in 0..=self.below(4) {
            let at = self.below(octets.len().max(1));
            match self.below(5) {
                0 if !octets.is_empty() => octets[at] = u8::try_from(self.below(256)).unwrap(),
                1 if !octets.is_empty() => drop(octets.remove(at)),
                2 => octets.truncate(at),
                3 if !octets.is_empty() => {
                    let end = (at + self.below(40)).min(octets.len());
                    let piece = octets[at..end].to_vec();
                    octets.splice(at..at, piece);
                }
                _ => drop(octets.splice(at..at, PIECES[self.below(PIECES.len())].iter().copied())),
            }
        }
    }
}
