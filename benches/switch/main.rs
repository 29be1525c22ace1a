//! The machines without sockets, each beside a floor of its own: what no program that does the job could do without. The ratio
//! is what counts. Behind each subject stands what it allocates.

#[path = "../../tests/support/counting.rs"]
mod counting;
#[path = "../../tests/support/desk.rs"]
mod desk;
mod fan_out;
mod invite;
mod outbox;
mod parse;
#[path = "../../tests/support/plane.rs"]
mod plane;
#[path = "../../tests/focus/world.rs"]
#[allow(dead_code, reason = "its peers are what is needed")]
mod world;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

/// Messages that are taken in before what waits is sent, as when a sender has so many in flight.
const IN_FLIGHT: u64 = 64;
/// Octets of a message's text.
const TEXT: usize = 500;

/// Calls `some` with what is left of `iterations`, [`IN_FLIGHT`] at most, until all are done. Answers the time it took by its
/// own account.
fn in_batches(iterations: u64, mut some: impl FnMut(u64) -> Duration) -> Duration {
    let (mut left, mut total) = (iterations, Duration::ZERO);
    while left > 0 {
        let batch = left.min(IN_FLIGHT);
        total += some(batch);
        left -= batch;
    }
    total
}

/// Prints what something allocates, once it runs evenly.
fn print_allocations(what: &str, units: u64, mut run: impl FnMut()) {
    const RUNS: u64 = 200;
    for _ in 0..10 {
        run();
    }
    let before = counting::allocations();
    for _ in 0..RUNS {
        run();
    }
    let each = (counting::allocations() - before) as f64 / (RUNS * units) as f64;
    println!("{what}: {each:.4} allocations");
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = parse::benches, fan_out::benches, outbox::benches, invite::benches
}
criterion_main!(benches);
