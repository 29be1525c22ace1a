//! Focus and switches together, without sockets and in a time of their own, for as long as is wanted: guests who come, talk,
//! stall, vanish and send what is broken, by numbers that look random. What has to hold whatever they do is checked all along.
//!
//! A short run of each is part of every test run. A longer one:
//!
//! ```sh
//! PARLOR_SOAK_ROUNDS=2000 PARLOR_SOAK_SEED=7 cargo test --release --test soak
//! ```
//!
//! A failure names its seed; the same seed does the same again.

mod guest;
mod hearing;
mod house;
mod life;
mod mutants;
#[path = "../support/numbers.rs"]
mod numbers;
#[path = "../focus/world.rs"]
#[allow(dead_code, reason = "its peers are what is needed")]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use numbers::Numbers;

/// Runs something for each of several seeds, and says which one it fails with.
fn for_each_seed(usual_rounds: u64, run: impl Fn(Numbers)) {
    let of = |name| std::env::var(name).ok().and_then(|value: String| value.parse::<u64>().ok());
    let rounds = of("PARLOR_SOAK_ROUNDS").unwrap_or(usual_rounds);
    let first = of("PARLOR_SOAK_SEED").unwrap_or(1);
    for seed in first..first + rounds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(Numbers::new(seed)))) {
            eprintln!("it fails with PARLOR_SOAK_SEED={seed} PARLOR_SOAK_ROUNDS=1");
            resume_unwind(panic);
        }
    }
}
