//! A call, INVITE to 200 to ACK to BYE, through the focus; beside the parsing of what its peer sends.

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use parlor_proto::sip::parse_datagram;

use crate::counting::allocations;
use crate::desk::Desk;

/// Calls whose allocations are counted.
const CALLS: u64 = 200;

pub fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("a call");
    group.throughput(Throughput::Elements(1));
    for standing in [0, 1000] {
        let mut desk = Desk::new(standing, allocations);
        let spent = (0..CALLS).map(|_| desk.call()).sum::<u64>() as f64 / CALLS as f64;
        println!("a call beside {standing}: {spent:.1} allocations");
        let mut desk = Desk::new(standing, nanoseconds);
        group.bench_function(format!("focus, beside {standing} that stand"), |b| {
            b.iter_custom(|n| Duration::from_nanos((0..n).map(|_| desk.call()).sum()));
        });
    }
    let mut desk = Desk::new(0, nanoseconds);
    desk.call();
    let requests = std::mem::take(&mut desk.heard);
    let last = &requests[requests.len() - 3..];
    group.bench_function("floor: the three requests parsed", |b| {
        b.iter(|| {
            for request in last {
                black_box(parse_datagram(black_box(request.as_bytes())).unwrap());
            }
        });
    });
}

fn nanoseconds() -> u64 {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGUN.elapsed().as_nanos() as u64
}
