//! The random number generator of the commands.

use std::fs::File;
use std::io::{self, Read};

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;

/// A generator seeded from /dev/urandom.
///
/// # Errors
/// Returns an error if that cannot be read.
pub fn generator() -> io::Result<ChaCha12Rng> {
    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(ChaCha12Rng::from_seed(seed))
}
