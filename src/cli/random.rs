//! Where the randomness of the command line comes from: tags, branches and ids that nobody can guess.

use std::fs::File;
use std::io::{self, Read};

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;

/// A generator seeded by the kernel.
///
/// # Errors
/// Where the kernel's source cannot be read.
pub(super) fn generator() -> io::Result<ChaCha12Rng> {
    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(ChaCha12Rng::from_seed(seed))
}
