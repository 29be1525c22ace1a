//! What waits, out into one hot buffer for each connection, beside a copy of as many octets. Taking it in is not counted.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use parlor::ids::ConnectionId;

use crate::plane::{Plane, Scratch};
use crate::{IN_FLIGHT, TEXT, counting};

pub fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("send what waits");
    for (members, in_flight) in [(100, 1), (100, IN_FLIGHT), (1000, IN_FLIGHT)] {
        let what = format!("{in_flight} for each of {members}");
        let mut drain = Drain::new(members);
        drain.round(in_flight);
        group.throughput(Throughput::Elements(members as u64));
        let octets = drain.octets / members;
        println!("send {what}: {:.4} allocations a copy", drain.allocations_a_copy(in_flight, members));
        group.bench_function(BenchmarkId::new("outboxes", &what), |b| {
            b.iter_custom(|n| (0..n).map(|_| drain.round(in_flight)).sum());
        });
        group.bench_function(BenchmarkId::new("floor: a copy of the same octets", &what), |b| {
            let (source, mut scratch) = (vec![b'x'; octets], Vec::with_capacity(octets));
            b.iter(|| {
                for _ in 0..members {
                    scratch.clear();
                    scratch.extend_from_slice(black_box(&source));
                    black_box(&mut scratch);
                }
            });
        });
    }
}

struct Drain {
    plane: Plane,
    dirty: Vec<ConnectionId>,
    scratch: Scratch,
    /// Octets of the last round.
    octets: usize,
    /// What sending has allocated so far.
    allocations: u64,
}

impl Drain {
    fn new(members: usize) -> Self {
        let plane = Plane::new(1, members + 1);
        Self { plane, dirty: Vec::new(), scratch: Scratch::default(), octets: 0, allocations: 0 }
    }

    /// What sending a copy allocates once it runs evenly; what taking the messages in does is not counted.
    fn allocations_a_copy(&mut self, in_flight: u64, members: usize) -> f64 {
        const ROUNDS: u64 = 50;
        (0..10).for_each(|_| _ = self.round(in_flight));
        let before = self.allocations;
        (0..ROUNDS).for_each(|_| _ = self.round(in_flight));
        (self.allocations - before) as f64 / (ROUNDS * in_flight * members as u64) as f64
    }

    /// Lets so many messages wait, and answers how long it takes to send them all.
    fn round(&mut self, messages: u64) -> Duration {
        let message = self.plane.message(0, TEXT);
        for _ in 0..messages {
            self.plane.receive(0, &message);
        }
        let Self { plane, dirty, scratch, octets, allocations } = self;
        let (begun, before) = (Instant::now(), counting::allocations());
        *octets = 0;
        plane.switch.take_dirty(dirty);
        for id in dirty.drain(..) {
            scratch.0.clear();
            let n = plane.switch.gather(id, scratch, usize::MAX);
            black_box(&mut scratch.0);
            plane.switch.sent(id, n, plane.now);
            *octets += n;
        }
        let took = begun.elapsed();
        *allocations += counting::allocations() - before;
        took
    }
}
